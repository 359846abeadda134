//! Chooses the tokens that text not seen yet will need least tokens with.
//!
//! Judged on the text it is made from, a vocabulary that knows each word by heart looks best, and unseen words fall
//! apart under it. So each word stands for two kinds of text: some that has it again, and some that has an unseen word
//! like it in its place, which is spelled as the word would be if it were no token itself (leaving-one-out, as Ney,
//! Essen and Kneser, 1994, estimate what was not seen).
//!
//! The same goes for pieces: what would spell a piece if it were no token gets a share of its uses. So pieces that longer
//! ones hide here stay for text that lacks those, as in the hierarchical back-off of Pitman and Yor's process (Teh, 2006).
//!
//! From more tokens than wanted the least useful go one by one, each counted again whenever a removal changed it. Then
//! other tokens are tried in their place, as long as that shortens the text.
mod segmenter;
mod strings;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use self::segmenter::Segmenter;
use self::strings::{Mass, StringId, Strings, UNIT, discount, hash};
use crate::vocabulary::Position;

/// Greatest sum of counts times bytes for which masses do not overflow.
pub const MAX_BYTES: u64 = u64::MAX / (2 * UNIT);

/// How many times new tokens are tried at most.
const ROUNDS: usize = 8;
/// Number of pieces that a new token takes the place of at most; of long runs without spaces, whose parts are as many as the
/// square of their lengths, choosing takes a sixth less time with it, and no text gets longer.
const MAX_PIECES: usize = 6;
/// Places of a table that says which strings may be met more than once: choosing for Chinese runs takes a quarter less time
/// with it, for English 6 % more.
const SKETCH: usize = 1 << 22;
/// A trial is the last one if it shortens the text by less than this share.
const LEAST_GAIN: f64 = 1e-4;

/// A token as what it spells, and where.
pub type Surface = (Position, String);

/// A token with why it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// What it spells, and where.
    pub surface: Surface,
    /// How often it is expected in as much text as was counted.
    pub emitted: f64,
    /// How many tokens more the text would have without it.
    pub saved: f64,
}

/// What to choose from, and how much.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Number of tokens to choose, those that must stay not among them.
    pub size: usize,
    /// Tokens that must stay: with them every word can be spelled.
    pub kept: &'a [Surface],
    /// Tokens to begin with.
    pub candidates: &'a [Surface],
    /// No other token may have more bytes.
    pub max_token_bytes: usize,
    /// What a continuation token begins with.
    pub continuation_prefix: &'a str,
}

/// Chooses `size` tokens for words with their counts; fewer if there are fewer candidates.
///
/// They are ordered by how often they are expected, then by their bytes. The result depends on the words and the
/// candidates alone, not on their order.
#[must_use]
pub fn select<'w>(words: impl Iterator<Item = (&'w str, u64)> + Clone, options: Options) -> Vec<Chosen> {
    let discount = discount(words.clone().map(|(_, count)| count));
    let mut strings = Strings::default();
    let mut masses = Vec::new();
    for (word, count) in words {
        strings.add(Position::Initial, word.as_bytes());
        masses.push(Mass::new(count, discount));
    }
    let mut selector = Selector::new(Segmenter::new(strings, masses, options.continuation_prefix), options);
    selector.run();
    selector.words.forget_pieces();
    selector.chosen()
}

/// What a new token would do.
#[derive(Clone, Copy, Default)]
struct Gain {
    /// Mass of tokens saved.
    saved: i64,
    /// Mass of the words that get shorter. A word met once says little of other text, however long it is.
    met: u64,
}

struct Selector<'a> {
    words: Segmenter,
    options: Options<'a>,
    kept: Vec<bool>,
    /// Each entry's number of changes; older entries in the heap are stale.
    versions: Vec<u32>,
}

impl<'a> Selector<'a> {
    fn new(mut words: Segmenter, options: Options<'a>) -> Self {
        for (position, surface) in options.candidates {
            words.choose(*position, surface.as_bytes());
        }
        let kept: Vec<StringId> =
            options.kept.iter().map(|(position, surface)| words.choose(*position, surface.as_bytes()).0).collect();
        let mut selector = Self { kept: vec![false; words.chosen.len()], versions: Vec::new(), words, options };
        kept.into_iter().for_each(|id| selector.kept[id as usize] = true);
        selector
    }

    fn run(&mut self) {
        self.words.rebuild();
        self.prune();
        let mut best = self.words.total();
        let mut count = self.options.size / 5;
        for _ in 0..ROUNDS {
            let before = self.words.chosen.clone();
            if count == 0 || !self.try_new(count) {
                break;
            }
            self.words.rebuild();
            self.prune();
            let total = self.words.total();
            let gain = 1.0 - total as f64 / best as f64;
            if gain < 0.0 {
                self.words.chosen[..before.len()].copy_from_slice(&before);
                self.words.chosen[before.len()..].fill(false);
                self.words.rebuild();
            }
            if gain < LEAST_GAIN {
                break;
            }
            best = total;
            count = count * 2 / 3;
        }
    }

    /// Tokens that may go, and are there.
    fn removable(&self) -> impl Iterator<Item = StringId> {
        (0..self.words.chosen.len() as StringId).filter(|&id| self.words.chosen[id as usize] && !self.kept[id as usize])
    }

    /// Removes the cheapest tokens until as many are left as are wanted; among equals the greater string goes first.
    fn prune(&mut self) {
        self.versions = vec![0; self.words.chosen.len()];
        let mut ranks: Vec<StringId> = self.removable().collect();
        ranks.sort_unstable_by(|&a, &b| self.words.strings.key(b).cmp(&self.words.strings.key(a)));
        let mut rank = vec![0_u32; self.words.chosen.len()];
        ranks.iter().zip(0..).for_each(|(&id, i)| rank[id as usize] = i);
        let entry = |words: &Segmenter, id: StringId, version: u32| {
            words.cost(id).map(|cost| Reverse((cost, words.emitted(id), rank[id as usize], id, version)))
        };
        let mut heap: BinaryHeap<_> = ranks.iter().filter_map(|&id| entry(&self.words, id, 0)).collect();
        let mut left = ranks.len();
        while left > self.options.size {
            let Some(Reverse((.., id, version))) = heap.pop() else { break };
            if !self.words.chosen[id as usize] || self.versions[id as usize] != version {
                continue;
            }
            left -= 1;
            for id in self.words.remove(id).to_vec() {
                if self.words.chosen[id as usize] && !self.kept[id as usize] {
                    self.versions[id as usize] += 1;
                    heap.extend(entry(&self.words, id, self.versions[id as usize]));
                }
            }
        }
    }

    /// Makes tokens of the `count` strings that would shorten the text most, each counted by itself.
    fn try_new(&mut self, count: usize) -> bool {
        let (strings, gains) = self.gains();
        let helps = |&i: &StringId| gains[i as usize].saved > 0 && gains[i as usize].met > UNIT;
        let mut order: Vec<StringId> = (0..strings.len() as StringId).filter(helps).collect();
        let by_gain = |&a: &StringId, &b: &StringId| {
            gains[b as usize].saved.cmp(&gains[a as usize].saved).then_with(|| strings.key(a).cmp(&strings.key(b)))
        };
        if count < order.len() {
            order.select_nth_unstable_by(count, by_gain);
            order.truncate(count);
        }
        order.sort_unstable_by(by_gain);
        for &i in &order {
            let (bytes, position) = strings.key(i);
            self.words.choose(position, bytes);
        }
        self.kept.resize(self.words.chosen.len(), false);
        !order.is_empty()
    }

    /// Strings that are no tokens, and what each would save.
    ///
    /// Under longest match a new token changes a word where a piece begins and the token is longer than the piece; from
    /// where it ends, the word is spelled on until a piece begins where one began before.
    fn gains(&self) -> (Strings, Vec<Gain>) {
        // Most strings are met once. So what is met goes to a small table first, whose places many share: what has too
        // little even there need not be kept.
        let mut met = vec![0_u8; SKETCH];
        let place = |position, bytes: &[u8]| hash(position, bytes) as usize % SKETCH;
        self.each_saving(|position, bytes, mass, saved| {
            let met = &mut met[place(position, bytes)];
            *met = met.saturating_add(if saved > 0 { mass.min(255) as u8 } else { 0 });
        });
        let (mut strings, mut gains) = (Strings::default(), Vec::new());
        self.each_saving(|position, bytes, mass, saved| {
            if u64::from(met[place(position, bytes)]) > UNIT {
                let id = strings.add(position, bytes) as usize;
                gains.resize(gains.len().max(id + 1), Gain::default());
                gains[id].saved += mass.cast_signed() * saved;
                gains[id].met += if saved > 0 { mass } else { 0 };
            }
        });
        (strings, gains)
    }

    /// Calls `visit` for each string, as often as it occurs, with the mass of that text and the number of tokens it saves there.
    fn each_saving(&self, mut visit: impl FnMut(Position, &[u8], u64, i64)) {
        let words = &self.words;
        let one_class = self.options.continuation_prefix.is_empty();
        let mut cuts = Vec::new();
        for i in (0..words.masses.len() as StringId).filter(|&i| words.path(i).len() > 1) {
            let (mass, whole) = (words.spelled_mass(i), words.masses[i as usize].again);
            if mass == 0 {
                continue;
            }
            let bytes = words.strings.bytes(i);
            cuts.clear();
            cuts.push(0);
            for &piece in words.path(i) {
                cuts.push(cuts[cuts.len() - 1] + words.strings.bytes(piece).len());
            }
            if cuts.last() != Some(&bytes.len()) {
                // A piece was written out with the prefix of continuations.
                continue;
            }
            let mut note = |start: usize, end: usize, saved: i64| {
                // An unseen word does not have the token of this one.
                let all = start == 0 && end == bytes.len();
                let mass = if !all {
                    mass
                } else if words.chosen[i as usize] {
                    0
                } else {
                    whole
                };
                let position = match start {
                    0 => words.strings.position(i),
                    _ if one_class => Position::Initial,
                    _ => Position::Continuation,
                };
                if saved != 0 && mass > 0 && !self.reads_as_continuation(position, &bytes[start..end]) {
                    visit(position, &bytes[start..end], mass, saved);
                }
            };
            for first in 0..cuts.len() - 1 {
                self.savings(bytes, &cuts, first, &mut note);
            }
        }
    }

    /// Whether a string in front would be taken for a token further on.
    fn reads_as_continuation(&self, position: Position, bytes: &[u8]) -> bool {
        let prefix = self.options.continuation_prefix.as_bytes();
        position == Position::Initial && !prefix.is_empty() && bytes.len() > prefix.len() && bytes.starts_with(prefix)
    }

    /// Calls `note` for each string that begins with piece `first` and is longer: start, end, number of pieces saved.
    fn savings(&self, bytes: &[u8], cuts: &[usize], first: usize, note: &mut impl FnMut(usize, usize, i64)) {
        let last = cuts[(first + MAX_PIECES).min(cuts.len() - 1)];
        let longest = last.min(cuts[first].saturating_add(self.options.max_token_bytes));
        let mut next = first + 1;
        for end in (cuts[first + 1] + 1..=longest).filter(|&end| is_char_end(bytes, end)) {
            while cuts[next] < end {
                next += 1;
            }
            let (mut at, mut cut, mut pieces) = (end, next, 1);
            while at != cuts[cut] {
                let Some(len) = self.words.next_len(&bytes[at..]) else { return };
                at += len;
                pieces += 1;
                while cuts[cut] < at {
                    cut += 1;
                }
            }
            note(cuts[first], end, (cut - first) as i64 - pieces);
        }
    }

    fn chosen(&self) -> Vec<Chosen> {
        let mut ids: Vec<StringId> = self.removable().collect();
        let words = &self.words;
        ids.sort_unstable_by_key(|&id| (Reverse(words.emitted(id)), words.strings.key(id)));
        let occurrences = |mass: u64| mass as f64 / UNIT as f64;
        ids.into_iter()
            .map(|id| {
                let (bytes, position) = words.strings.key(id);
                Chosen {
                    surface: (position, String::from_utf8_lossy(bytes).into_owned()),
                    emitted: occurrences(words.emitted(id)),
                    saved: occurrences(words.cost(id).unwrap_or(0)),
                }
            })
            .collect()
    }
}

fn is_char_end(bytes: &[u8], end: usize) -> bool {
    bytes.get(end).is_none_or(|byte| byte.cast_signed() >= -64)
}
