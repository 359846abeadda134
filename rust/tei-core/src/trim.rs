//! The order in which tokens are given up: the cheapest first, counted again after each removal.
//!
//! A token costs its count times how far the model's output moves, which the distance of its row to the length-weighted
//! mean of the rows that would replace it tells, and how much longer the text gets. Uses that it took over from tokens
//! given up before move little: those words read as fragments already. What counts is how often a token is expected in
//! more text (`forecast.rs`). The order is total, so its ends are nested vocabularies of every size.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::TokenId;
use crate::embedding::{Rows, dot};
use crate::encoder::Encoder;
use crate::forecast::forecast;
use crate::paths::{Paths, Users, char_count, trace_without_itself};
use crate::segmentation::Segmentation;
use crate::usage::single_char;
use crate::vocabulary::{Position, Vocabulary};
use crate::word_counts::WordCounts;

/// What moving a use that a token took over counts, beside one of its own: it keeps good pieces for words that are in
/// pieces anyway, at the expense of whole ones.
const TAKEN_OVER: f64 = 0.1;
/// What moving a continuation counts, beside a token that begins a word.
const CONTINUATION: f64 = 0.62;
/// What one token more counts, in units of distance.
const LENGTH: f64 = 0.2;
/// What a use of a token that no word has costs: about what those cost that are used.
const UNSEEN: f64 = 1.0;

/// What trimming goes by.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Tokens that stay, by id; nothing more is protected where it is too short.
    pub protected: &'a [bool],
    /// Embedding rows; without them a token costs the tokens it saves.
    pub rows: Option<Rows<'a>>,
    /// How many tokens are ordered at most: of a few, most work is left out.
    pub most: usize,
}

/// Tokens in the order in which they are given up, and the state after each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrimOrder {
    /// All tokens that are not protected, or as many as were asked for.
    pub order: Vec<TokenId>,
    /// How often each was emitted just before it went.
    pub uses: Vec<u64>,
    /// Its cost then.
    pub costs: Vec<f64>,
    /// Tokens that the words emit after it is gone.
    pub tokens: Vec<u64>,
    /// Occurrences of unknown words after it is gone.
    pub unknown_words: Vec<u64>,
}

/// Orders unprotected tokens: what no word visits and none is expected to first, then by cost.
///
/// Among the former, single characters come last and later ids first, since vocabularies number by falling frequency.
/// A token that nothing spells comes after all others. Ties go to the token that is emitted less, then to the later id.
#[must_use]
pub fn trim_order(encoder: &Encoder, counts: &WordCounts, options: Options) -> TrimOrder {
    let (mut words, mut users) = segmented(encoder, counts);
    order(encoder.vocabulary(), &mut words, &mut users, options)
}

fn segmented(encoder: &Encoder, counts: &WordCounts) -> (Segmentation, Users) {
    let words = Segmentation::new(encoder, Arc::new(counts.clone()), &[]);
    let users = Users::of(&words.paths, words.len());
    (words, users)
}

/// The same for words that are segmented already; it leaves them without the tokens ordered.
pub(crate) fn order(
    vocabulary: &Vocabulary,
    words: &mut Segmentation,
    users: &mut Users,
    options: Options,
) -> TrimOrder {
    if options.most == 0 {
        return TrimOrder::default();
    }
    let removable = |&id: &TokenId| !options.protected.get(id as usize).copied().unwrap_or(false);
    let removable = words.numbers(&(0..vocabulary.len() as TokenId).filter(removable).collect::<Vec<_>>());
    let (used, unused): (Vec<_>, Vec<_>) =
        removable.into_iter().partition(|&token| words.emits(token) || users.is_used(token, &words.paths));
    let expected = further(vocabulary, words, options.rows);
    let mut trimmer = Trimmer::new(vocabulary, words, users, options.rows, &expected);
    let (unseen, mut never): (Vec<_>, Vec<_>) = unused.into_iter().partition(|&token| expected[token as usize] > 0.0);
    never.sort_by_cached_key(|&token| (single_char(trimmer.surface(token).0).is_some(), Reverse(token)));
    never.into_iter().take(options.most).for_each(|token| trimmer.remove(token));
    if trimmer.trimmed.order.len() < options.most {
        trimmer.remove_by_cost(&used, &unseen, options.most);
    }
    trimmer.trimmed
}

/// Gives up tokens in an order made elsewhere, on other counts: what it does to text that it was not made from.
#[must_use]
pub fn trim_along(encoder: &Encoder, counts: &WordCounts, rows: Option<Rows>, order: &[TokenId]) -> TrimOrder {
    let (mut words, mut users) = segmented(encoder, counts);
    let mut trimmer = Trimmer::new(encoder.vocabulary(), &mut words, &mut users, rows, &[]);
    for &token in order {
        if trimmer.words.emitted()[token as usize] > 0 {
            trimmer.spell(token);
        }
        trimmer.remove(token);
        trimmer.push_touched();
    }
    trimmer.trimmed
}

/// How often each token is expected in as much text again, beyond its uses in this one.
fn further(vocabulary: &Vocabulary, words: &Segmentation, rows: Option<Rows>) -> Vec<f64> {
    let mut uses = vec![0; vocabulary.len()];
    let numbered = || (0..words.len() as TokenId).map(|token| (words.id(token), words.emitted()[token as usize]));
    numbered().for_each(|(id, count)| id.into_iter().for_each(|id| uses[id as usize] = count));
    let expected = forecast(vocabulary, &uses, words.total(), rows);
    numbered().map(|(id, count)| id.map_or(0.0, |id| expected[id as usize] - count as f64)).collect()
}

/// Order of removal: bits of the cost, the highest of which says that words would break, then the count.
type Rank = (u64, u64);

/// What is known of a token, in one line of the cache.
#[derive(Clone)]
#[repr(align(64))]
struct Token {
    /// How often it was emitted before any went.
    own: u64,
    /// How much more often it is expected in as much text again.
    expected: f64,
    /// Cost of a use of its own, and of one taken over.
    factors: [f64; 2],
    /// Its least entry in the heap; others are left over.
    queued: Option<Rank>,
    /// Whether it was found out how it would be spelled without itself.
    is_spelled: bool,
    spellable: bool,
    /// Whether it is still to go; others are not in the heap.
    pending: bool,
    is_touched: bool,
    /// Whether no word has visited it yet, so that it costs what it is expected alone.
    is_unseen: bool,
}

struct Trimmer<'a> {
    vocabulary: &'a Vocabulary,
    rows: Option<Rows<'a>>,
    words: &'a mut Segmentation,
    users: &'a mut Users,
    tokens: Vec<Token>,
    /// How each token would be spelled without itself, for those that it was found out for.
    spellings: Paths,
    spelled_by: Users,
    /// For each pending token an entry that is not above its key: most keys rise, and are renewed when they come up. Of equals
    /// the later token comes first.
    heap: BinaryHeap<Reverse<(Rank, Reverse<TokenId>)>>,
    /// Tokens that no word has visited, with what they cost until one does, the cheapest last.
    unseen: Vec<(Rank, Reverse<TokenId>)>,
    touched: Vec<TokenId>,
    scratch: Vec<TokenId>,
    mean: Vec<f32>,
    trimmed: TrimOrder,
}

impl<'a> Trimmer<'a> {
    fn new(
        vocabulary: &'a Vocabulary,
        words: &'a mut Segmentation,
        users: &'a mut Users,
        rows: Option<Rows<'a>>,
        expected: &[f64],
    ) -> Self {
        let size = words.len();
        let room = |token| words.surface(vocabulary, token).0.len();
        let token = |(&own, expected)| Token {
            own,
            expected,
            factors: [0.0; 2],
            queued: None,
            is_spelled: false,
            spellable: true,
            pending: false,
            is_touched: false,
            is_unseen: false,
        };
        let expected = expected.iter().copied().chain(std::iter::repeat(0.0));
        Self {
            vocabulary,
            rows,
            users,
            tokens: words.emitted().iter().zip(expected).map(token).collect(),
            spellings: Paths::new((0..size as TokenId).map(room)),
            spelled_by: Users::new(size),
            words,
            heap: BinaryHeap::new(),
            unseen: Vec::new(),
            touched: Vec::new(),
            scratch: Vec::new(),
            mean: Vec::new(),
            trimmed: TrimOrder::default(),
        }
    }

    fn surface(&self, token: TokenId) -> (&'a str, Position) {
        self.words.surface(self.vocabulary, token)
    }

    /// Removes the cheapest of some tokens until `most` are gone in all.
    fn remove_by_cost(&mut self, used: &[TokenId], unseen: &[TokenId], most: usize) {
        for &token in unseen {
            let state = &mut self.tokens[token as usize];
            (state.pending, state.is_unseen, state.factors) = (true, true, [UNSEEN; 2]);
            self.unseen.push((self.rank(token), Reverse(token)));
        }
        // Of a few, only the cheapest need be in order.
        if most < self.unseen.len() {
            self.unseen.select_nth_unstable(most);
            self.unseen.truncate(most);
        }
        self.unseen.sort_unstable_by(|a, b| b.cmp(a));
        for &token in used {
            let factors = [if self.rows.is_some() { LENGTH } else { 1.0 }; 2];
            let state = &mut self.tokens[token as usize];
            (state.pending, state.factors) = (true, factors);
            self.push(token);
        }
        while self.trimmed.order.len() < most
            && let Some(id) = self.cheapest()
        {
            self.tokens[id as usize].pending = false;
            self.remove(id);
            self.push_touched();
        }
    }

    /// The token to go next.
    fn cheapest(&mut self) -> Option<TokenId> {
        loop {
            while self.unseen.last().is_some_and(|(_, Reverse(id))| !self.tokens[*id as usize].is_unseen) {
                self.unseen.pop();
            }
            let top = self.heap.peek().map(|Reverse(entry)| *entry);
            if let Some(&first) = self.unseen.last()
                && top.is_none_or(|top| first < top)
            {
                self.unseen.pop();
                return Some(first.1.0);
            }
            let (rank, Reverse(id)) = top?;
            self.heap.pop();
            let token = &mut self.tokens[id as usize];
            if token.queued != Some(rank) {
                continue;
            }
            token.queued = None;
            if !token.is_spelled {
                self.spell(id);
            }
            if self.rank(id) == rank {
                return Some(id);
            }
            self.push(id);
        }
    }

    /// Takes a token away and updates the words, and the spellings of other tokens, that visit it.
    fn remove(&mut self, id: TokenId) {
        let (uses, cost) = (self.words.emitted()[id as usize], self.cost(id));
        self.words.remove(self.surface(id));
        for i in self.users.find(&[id], &self.words.paths) {
            self.words.update_without(id, i, |i, before, part, now| {
                self.users.note(i, before, now);
                for &token in before[part].iter().chain(now) {
                    if !std::mem::replace(&mut self.tokens[token as usize].is_touched, true) {
                        self.touched.push(token);
                    }
                }
            });
        }
        for token in self.spelled_by.find(&[id], &self.spellings) {
            if self.tokens[token as usize].pending {
                self.spell(token);
                self.push(token);
            }
        }
        self.trimmed.order.extend(self.words.id(id));
        self.trimmed.uses.push(uses);
        self.trimmed.costs.push(cost);
        self.trimmed.tokens.push(self.words.tokens());
        self.trimmed.unknown_words.push(self.words.unknown_words());
    }

    /// Finds what would replace a token, and what one such replacement costs.
    fn spell(&mut self, id: TokenId) {
        self.scratch.clear();
        let spellable = trace_without_itself(&self.words.trie, self.surface(id), &mut self.scratch);
        self.spelled_by.note(id, self.spellings.get(id), &self.scratch);
        self.spellings.set(id, &self.scratch);
        let factors = if spellable { self.factor(id) } else { [1.0; 2] };
        let token = &mut self.tokens[id as usize];
        (token.is_spelled, token.spellable, token.factors) = (true, spellable, factors);
    }

    fn factor(&mut self, id: TokenId) -> [f64; 2] {
        let pieces = self.spellings.get(id);
        let longer = pieces.len() as f64 - 1.0;
        let Some(rows) = self.rows else { return [longer; 2] };
        let distance = distance(rows, id, pieces, self.words, self.vocabulary, &mut self.mean);
        let share = if self.surface(id).1 == Position::Initial { 1.0 } else { CONTINUATION };
        // Exchanging 54,000 single tokens of reviews, tweets and kernel documentation for their pieces moved MiniLM's
        // sentence vectors by the distance to the power of 1.6 and more, by .62 of that in a word, and independently of
        // how many pieces there were and how long.
        let moved = share * distance * distance;
        [moved + LENGTH * longer, TAKEN_OVER * moved + LENGTH * longer]
    }

    fn cost(&self, id: TokenId) -> f64 {
        let (uses, known) = (self.words.emitted()[id as usize], &self.tokens[id as usize]);
        let (first, [own, taken]) = (uses.min(known.own), known.factors);
        (first as f64 + known.expected).max(0.0) * own + (uses - first) as f64 * taken
    }

    fn rank(&self, id: TokenId) -> Rank {
        // Costs are not negative, so their bits order as they do, and the highest is free.
        let breaks = u64::from(!self.tokens[id as usize].spellable) << 63;
        (breaks | self.cost(id).to_bits(), self.words.emitted()[id as usize])
    }

    /// Puts a token where it belongs; an entry that is too low is renewed when it comes up.
    fn push(&mut self, id: TokenId) {
        let rank = self.rank(id);
        let queued = &mut self.tokens[id as usize].queued;
        if queued.is_none_or(|queued| rank < queued) {
            *queued = Some(rank);
            self.heap.push(Reverse((rank, Reverse(id))));
        }
    }

    fn push_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let token = &mut self.tokens[id as usize];
            token.is_touched = false;
            if token.pending {
                if std::mem::take(&mut token.is_unseen) {
                    self.spell(id);
                }
                self.push(id);
            }
        }
        self.touched = touched;
    }
}

/// 1 − cosine of a token's row and the mean of its pieces' rows weighted by length; 0 to 2.
fn distance(
    rows: Rows,
    token: TokenId,
    pieces: &[TokenId],
    words: &Segmentation,
    vocabulary: &Vocabulary,
    mean: &mut Vec<f32>,
) -> f64 {
    mean.clear();
    mean.resize(rows.dim(), 0.0);
    for &piece in pieces {
        let length = char_count(words.surface(vocabulary, piece).0.as_bytes()) as f32;
        mean.iter_mut().zip(rows.row(words.id(piece).unwrap_or(0))).for_each(|(sum, value)| *sum += length * value);
    }
    let row = rows.row(words.id(token).unwrap_or(0));
    let (dot, norms) = (dot(row, mean), dot(row, row) * dot(mean, mean));
    if norms > 0.0 { (1.0 - dot / norms.sqrt()).max(0.0) } else { 1.0 }
}
