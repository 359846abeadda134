//! New tokens for what words are spelled with over and over: neighbouring pieces become one token.
//!
//! Candidates are runs of pieces. Each gain is counted by segmenting again, since under longest match a token can also
//! lengthen words; the best is taken first, lazily: a stale gain is renewed when it comes to the top.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use rapidhash::fast::RandomState;

use crate::TokenId;
use crate::encoder::Encoder;
use crate::segmentation::Segmentation;
use crate::vocabulary::{Position, Vocabulary};
use crate::word_counts::WordCounts;

/// What a new token must not do to text of another kind.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// Words of that text.
    pub counts: &'a WordCounts,
    /// No token may change more than this share of its tokens.
    pub max_changed: f64,
    /// None of so many most frequent words may become longer.
    pub keep_top: usize,
}

/// How many tokens are added, and which are not worth it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Greatest number of new tokens.
    pub count: usize,
    /// A token must save at least this many tokens; at least 1.
    pub min_gain: u64,
    /// Greatest number of pieces that become one token.
    pub max_pieces: usize,
    /// Text that must not suffer.
    pub guard: Option<Guard<'a>>,
}

/// A new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grown {
    /// With the continuation prefix, if it has that position.
    pub token: String,
    /// Tokens that it saves, after those before it.
    pub gain: u64,
}

/// Adds tokens to a vocabulary without the tokens `removed`, the greatest gain first.
///
/// Equal gains go to the lesser string, initial tokens first.
#[must_use]
pub fn grow(encoder: &Encoder, counts: &WordCounts, removed: &[TokenId], options: Options) -> Vec<Grown> {
    let guard = options.guard.map(|guard| (Table::new(encoder, guard.counts, removed), guard));
    let table = Table::new(encoder, counts, removed);
    let options = Options { min_gain: options.min_gain.max(1), ..options };
    let mut heap = candidates(&table.words, encoder.vocabulary().later(), options);
    let mut grower = Grower { table, guard, next: encoder.vocabulary().len() as TokenId };
    let mut grown = Vec::new();
    while grown.len() < options.count {
        let Some((_, Reverse(candidate))) = heap.pop() else { break };
        let Some(token) = new_token(encoder.vocabulary(), removed, candidate) else { continue };
        let Some(gain) = grower.gain(candidate).filter(|&gain| gain >= options.min_gain) else { continue };
        if heap.peek().is_some_and(|(next, _)| gain < *next) {
            heap.push((gain, Reverse(candidate)));
        } else if grower.is_harmless(candidate) {
            grower.accept(candidate);
            grown.push(Grown { token, gain });
        }
    }
    grown
}

/// What a token to be spells, and where.
type Candidate<'a> = (&'a [u8], Position);
type Heap<'a> = BinaryHeap<(u64, Reverse<Candidate<'a>>)>;

/// The candidate as a token; None if it would read as another one, or is one that words may not match.
fn new_token(vocabulary: &Vocabulary, removed: &[TokenId], (surface, position): Candidate) -> Option<String> {
    let surface = String::from_utf8_lossy(surface);
    let token = match position {
        Position::Initial => surface.to_string(),
        Position::Continuation => format!("{}{surface}", vocabulary.continuation_prefix()),
    };
    let kept = vocabulary.id(&token).is_some_and(|id| !removed.contains(&id));
    (!kept && vocabulary.split_surface(&token) == (&surface, position)).then_some(token)
}

/// All runs of pieces, with the tokens they would save if no two of them overlapped.
fn candidates<'a>(words: &Segmentation<'a>, later: Position, options: Options) -> Heap<'a> {
    let mut gains: HashMap<Candidate, u64, RandomState> = HashMap::default();
    let mut cuts = Vec::new();
    for i in (0..words.counts.len() as u32).filter(|&i| !words.is_broken(i) && words.len_of(i) > 1) {
        let (bytes, count) = (words.counts.bytes(i as usize), words.count(i));
        cuts.clear();
        cuts.extend(words.located(i).map(|(_, start)| start).chain([bytes.len()]));
        for (first, &start) in cuts.iter().enumerate() {
            let position = if first == 0 { Position::Initial } else { later };
            for (saved, &end) in cuts[first + 1..].iter().enumerate().take(options.max_pieces).skip(1) {
                *gains.entry((&bytes[start..end], position)).or_default() += count * saved as u64;
            }
        }
    }
    gains
        .into_iter()
        .filter(|&(_, gain)| gain >= options.min_gain)
        .map(|(candidate, gain)| (gain, Reverse(candidate)))
        .collect()
}

/// Words with an index of which of them have a piece before a character.
struct Table<'a> {
    words: Segmentation<'a>,
    followed: Followed,
}

type Followed = HashMap<(TokenId, char), Vec<u32>, RandomState>;

impl<'a> Table<'a> {
    fn new(encoder: &Encoder, counts: &'a WordCounts, removed: &[TokenId]) -> Self {
        let mut table = Self { words: Segmentation::new(encoder, counts, removed), followed: HashMap::default() };
        (0..table.words.counts.len() as u32).for_each(|i| table.note(i));
        table
    }

    fn note(&mut self, i: u32) {
        let bytes = self.words.counts.bytes(i as usize);
        // What comes before a piece, and the character that it begins with.
        let mut before = None;
        for (id, start) in self.words.located(i) {
            if let (Some(before), Some(next)) = (before, first_char(&bytes[start..])) {
                let users = self.followed.entry((before, next)).or_default();
                if users.last() != Some(&i) {
                    users.push(i);
                }
            }
            before = Some(id);
        }
    }

    /// The words that a candidate would change: those that visit the longest token it begins with where it could stand.
    fn changed(&self, (surface, position): Candidate) -> Vec<u32> {
        let Some((first, len)) = self.words.trie.longest(position, surface) else { return Vec::new() };
        let key = first_char(&surface[len..]).map(|next| (first, next));
        let Some(users) = key.and_then(|key| self.followed.get(&key)) else { return Vec::new() };
        let stands = |i: u32| {
            let bytes = self.words.counts.bytes(i as usize);
            self.words.located(i).any(|(id, start)| id == first && bytes[start..].starts_with(surface))
        };
        let mut changed: Vec<u32> = users.iter().copied().filter(|&i| stands(i)).collect();
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The words that a candidate would change, with their lengths then; None if one of them became unknown.
    fn effect(&mut self, candidate: Candidate, id: TokenId) -> Option<Vec<(u32, usize)>> {
        let (surface, position) = candidate;
        let changed = self.changed(candidate);
        self.words.insert(position, surface, id);
        let known = changed.into_iter().filter(|&i| !self.words.is_broken(i)).collect::<Vec<_>>();
        let effect = known.into_iter().map(|i| self.words.len_now(i).map(|len| (i, len))).collect();
        self.words.trie.remove(position, surface);
        effect
    }

    fn accept(&mut self, candidate: Candidate, id: TokenId) {
        let changed = self.changed(candidate);
        self.words.insert(candidate.1, candidate.0, id);
        for i in changed {
            self.words.update(i, |_, _, _| ());
            self.note(i);
        }
    }
}

fn first_char(bytes: &[u8]) -> Option<char> {
    bytes[..bytes.len().min(4)].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

struct Grower<'a> {
    table: Table<'a>,
    guard: Option<(Table<'a>, Guard<'a>)>,
    next: TokenId,
}

impl Grower<'_> {
    /// The tokens a candidate saves; None if it lengthens the text or makes a word unknown.
    fn gain(&mut self, candidate: Candidate) -> Option<u64> {
        let effect = self.table.effect(candidate, self.next)?;
        let words = &self.table.words;
        let saved = |(i, len)| words.count(i).cast_signed() * (words.len_of(i) as i64 - len as i64);
        u64::try_from(effect.into_iter().map(saved).sum::<i64>()).ok()
    }

    /// Whether the text of the guard stays as it should.
    fn is_harmless(&mut self, candidate: Candidate) -> bool {
        let Some((table, guard)) = &mut self.guard else { return true };
        let Some(effect) = table.effect(candidate, self.next) else { return false };
        let words = &table.words;
        let longer = |&(i, len): &(u32, usize)| (i as usize) < guard.keep_top && len > words.len_of(i);
        let changed: u64 = effect.iter().map(|&(i, _)| words.count(i) * words.len_of(i) as u64).sum();
        !effect.iter().any(longer) && changed as f64 <= guard.max_changed * words.tokens() as f64
    }

    fn accept(&mut self, candidate: Candidate) {
        self.table.accept(candidate, self.next);
        if let Some((table, _)) = &mut self.guard {
            table.accept(candidate, self.next);
        }
        self.next += 1;
    }
}
