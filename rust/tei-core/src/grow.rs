//! New tokens for what words are spelled with over and over: neighbouring pieces become one token.
//!
//! First come characters that make words unknown, in both positions, since no text that holds them can be spelled.
//! Candidates are runs of pieces. Each gain is counted by segmenting again, since under longest match a token can also
//! lengthen words; the best is taken first, lazily: a stale gain is renewed when it comes to the top.
use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rapidhash::fast::RandomState;

use crate::TokenId;
use crate::candidates::{Candidate, Candidates, Heap};
use crate::encoder::Encoder;
use crate::paths::sorted_once;
use crate::segmentation::Segmentation;
use crate::trie::Trie;
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

/// Adds tokens to a vocabulary without the tokens `removed`: characters of unknown words, then the greatest gain first.
///
/// Equal gains go to the lesser string, initial tokens first. The gain of a character is the number of unknown words that
/// it occurs in.
#[must_use]
pub fn grow(encoder: &Encoder, counts: &WordCounts, removed: &[TokenId], options: Options) -> Vec<Grown> {
    let table = |counts: &WordCounts| Table::new(encoder, Arc::new(counts.clone()), removed);
    let guard = options.guard.map(|guard| (table(guard.counts), guard));
    let mut table = table(counts);
    let mut candidates = Candidates::new(&table.words, encoder.vocabulary().later(), options.max_pieces);
    grown(encoder.vocabulary(), &mut table, &mut candidates, guard, removed, options)
}

/// The same for words that are segmented already without the tokens `removed`; it leaves them with the new ones.
pub(crate) fn grown(
    vocabulary: &Vocabulary,
    table: &mut Table,
    candidates: &mut Candidates,
    guard: Option<(Table, Guard)>,
    removed: &[TokenId],
    options: Options,
) -> Vec<Grown> {
    let options = Options { min_gain: options.min_gain.max(1), ..options };
    let (next, counts) = (table.words.len() as TokenId, Arc::clone(&table.words.counts));
    let mut grower = Grower { table, guard, next };
    let mut grown = grower.add_characters(vocabulary, candidates, options);
    candidates.settle();
    let mut heap = Heap::new();
    while grown.len() < options.count {
        candidates.lift(counts.text(), options.min_gain, &mut heap);
        let Some((_, Reverse(candidate))) = heap.pop() else { break };
        let Some(token) = new_token(vocabulary, removed, candidate) else { continue };
        let Some(gain) = grower.gain(candidate).filter(|&gain| gain >= options.min_gain) else { continue };
        candidates.lift(counts.text(), options.min_gain, &mut heap);
        if heap.peek().is_some_and(|(next, _)| gain < *next) {
            heap.push((gain, Reverse(candidate)));
        } else if grower.is_harmless(candidate) {
            grower.accept(candidate);
            grown.push(Grown { token, gain });
        }
    }
    grown
}

/// The candidate as a token; None if it would read as another one, or is one that words may not match.
fn new_token(vocabulary: &Vocabulary, removed: &[TokenId], (surface, position): Candidate) -> Option<String> {
    let surface = String::from_utf8_lossy(surface);
    let token = written(vocabulary, &surface, position);
    let kept = vocabulary.id(&token).is_some_and(|id| !removed.contains(&id));
    (!kept && vocabulary.split_surface(&token) == (&surface, position)).then_some(token)
}

fn written(vocabulary: &Vocabulary, surface: &str, position: Position) -> String {
    let prefix = if position == Position::Continuation { vocabulary.continuation_prefix() } else { "" };
    format!("{prefix}{surface}")
}

/// Words with an index of which of them have a piece before a character.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub words: Segmentation,
    /// May name words that no longer do.
    followed: HashMap<(TokenId, char), Vec<u32>, RandomState>,
    /// Lists that became longer, if that is to be undone.
    journal: Option<Vec<(TokenId, char)>>,
}

impl Table {
    pub fn new(encoder: &Encoder, counts: Arc<WordCounts>, removed: &[TokenId]) -> Self {
        let words = Segmentation::new(encoder, counts, removed);
        let mut table = Self { words, followed: HashMap::default(), journal: None };
        (0..table.words.counts.len() as u32).for_each(|i| table.note(i));
        table
    }

    /// Notes the pieces of a word.
    pub fn note(&mut self, i: u32) {
        let bytes = self.words.counts.bytes(i as usize);
        // What comes before a piece, and the character that it begins with.
        let mut before = None;
        for (id, start) in self.words.located(i) {
            if let (Some(before), Some(next)) = (before, first_char(&bytes[start..])) {
                let users = self.followed.entry((before, next)).or_default();
                if users.last() != Some(&i) {
                    users.push(i);
                    if let Some(journal) = &mut self.journal {
                        journal.push((before, next));
                    }
                }
            }
            before = Some(id);
        }
    }

    /// The words that a candidate would change: those that visit the longest token it begins with where it could stand.
    pub fn changed(&self, (surface, position): Candidate) -> Vec<u32> {
        let Some((first, len)) = self.words.trie.longest(position, surface) else { return Vec::new() };
        let key = first_char(&surface[len..]).map(|next| (first, next));
        let Some(users) = key.and_then(|key| self.followed.get(&key)) else { return Vec::new() };
        let stands = |i: u32| {
            let bytes = self.words.counts.bytes(i as usize);
            self.words.located(i).any(|(id, start)| id == first && bytes[start..].starts_with(surface))
        };
        sorted_once(users.iter().copied().filter(|&i| stands(i)).collect())
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
        self.update(changed);
    }

    /// Segments words again.
    fn update(&mut self, changed: impl IntoIterator<Item = u32>) {
        for i in changed {
            self.words.update(i, |_, _, _| ());
            self.note(i);
        }
    }

    /// The same, and what they can become; `noted` gets each word, its old path and its new one.
    pub fn renew(
        &mut self,
        changed: Vec<u32>,
        candidates: &mut Candidates,
        mut noted: impl FnMut(u32, &[TokenId], &[TokenId]),
    ) {
        for i in changed {
            candidates.subtract(&self.words, i);
            self.words.update(i, &mut noted);
            self.note(i);
            candidates.add(&self.words, i, self.words.count(i));
        }
    }

    /// Begins a part that will be undone.
    pub fn begin(&mut self) {
        self.words.begin();
        self.journal = Some(Vec::new());
    }

    /// Puts everything back as it was when the part began.
    pub fn undo(&mut self) {
        self.words.undo();
        for key in self.journal.take().into_iter().flatten().rev() {
            self.followed.get_mut(&key).and_then(Vec::pop);
        }
    }
}

/// Positions in which a character has no token; `later` is the one after another token.
fn missing(trie: &Trie, later: Position, surface: &[u8]) -> Vec<Position> {
    let missing = |position: &Position| trie.longest(*position, surface).is_none_or(|(_, len)| len < surface.len());
    let mut positions = vec![Position::Initial, later];
    positions.dedup();
    positions.retain(missing);
    positions
}

fn first_char(bytes: &[u8]) -> Option<char> {
    bytes[..bytes.len().min(4)].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

struct Grower<'a> {
    table: &'a mut Table,
    guard: Option<(Table, Guard<'a>)>,
    next: TokenId,
}

impl Grower<'_> {
    /// Adds characters that make words unknown, in each position that they lack, the most frequent first.
    fn add_characters(&mut self, vocabulary: &Vocabulary, candidates: &mut Candidates, options: Options) -> Vec<Grown> {
        let unknown = self.table.words.unspelled();
        let mut uses: HashMap<char, u64, RandomState> = HashMap::default();
        for &i in &unknown {
            let characters: HashSet<char, RandomState> = self.table.words.counts.word(i as usize).chars().collect();
            characters.into_iter().for_each(|c| *uses.entry(c).or_default() += self.table.words.count(i));
        }
        let mut uses: Vec<(u64, char)> =
            uses.into_iter().map(|(c, n)| (n, c)).filter(|(n, _)| *n >= options.min_gain).collect();
        uses.sort_unstable_by_key(|&(n, c)| (Reverse(n), c));
        let mut grown = Vec::new();
        for (gain, character) in uses {
            let mut bytes = [0; 4];
            let surface = &*character.encode_utf8(&mut bytes);
            let lacking = missing(&self.table.words.trie, vocabulary.later(), surface.as_bytes());
            if lacking.is_empty() || grown.len() + lacking.len() > options.count {
                continue;
            }
            for position in lacking {
                self.insert((surface.as_bytes(), position));
                grown.push(Grown { token: written(vocabulary, surface, position), gain });
            }
        }
        self.table.renew(unknown, candidates, |_, _, _| ());
        if let Some((table, _)) = &mut self.guard {
            let unknown = table.words.unspelled();
            table.update(unknown);
        }
        grown
    }

    fn insert(&mut self, (surface, position): Candidate) {
        for table in std::iter::once(&mut *self.table).chain(self.guard.as_mut().map(|(table, _)| table)) {
            table.words.insert(position, surface, self.next);
        }
        self.next += 1;
    }

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
