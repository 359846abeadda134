//! All words of a count table with their pieces, kept up to date while tokens come and go one at a time.
//!
//! Leftmost longest match is local: taking a token away changes exactly the words whose match path visits it. So a table
//! of paths and an index from token to words give the effect of an edit without encoding the text again.
use crate::TokenId;
use crate::encoder::Encoder;
use crate::trie::Trie;
use crate::vocabulary::Position;
use crate::word_counts::WordCounts;

/// Appends the tokens that longest match visits; false if it ends where no token matches.
pub(crate) fn trace(trie: &Trie, mut position: Position, bytes: &[u8], path: &mut Vec<TokenId>) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((id, len)) = trie.longest(position, rest) else { return false };
        path.push(id);
        rest = &rest[len..];
        position = Position::Continuation;
    }
    true
}

/// Appends the tokens that would replace a token if it were gone; false if it cannot be spelled without it.
pub(crate) fn trace_without_itself(
    trie: &Trie,
    (surface, position): (&str, Position),
    path: &mut Vec<TokenId>,
) -> bool {
    let bytes = surface.as_bytes();
    // One byte short, the token itself cannot match; what matches is the longest of the others.
    let first = bytes.split_last().and_then(|(_, shorter)| trie.longest(position, shorter));
    let Some((id, len)) = first else { return false };
    path.push(id);
    trace(trie, Position::Continuation, &bytes[len..], path)
}

/// Number of characters in UTF-8 bytes.
pub(crate) fn char_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| b.cast_signed() >= -64).count()
}

/// One path for each of many strings, in slots of fixed size: a path never has more tokens than its string characters.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    starts: Vec<usize>,
    lens: Vec<u32>,
    pieces: Vec<TokenId>,
}

impl Paths {
    /// Empty paths with room for so many tokens each.
    pub(crate) fn new(rooms: impl Iterator<Item = usize>) -> Self {
        let mut end = 0;
        let starts: Vec<usize> = rooms.map(|room| advance(&mut end, room)).collect();
        Self { lens: vec![0; starts.len()], pieces: vec![0; end], starts }
    }

    /// The path of the `i`-th string.
    pub(crate) fn get(&self, i: u32) -> &[TokenId] {
        let start = self.starts[i as usize];
        &self.pieces[start..start + self.lens[i as usize] as usize]
    }

    /// Whether the `i`-th string may have a path at all.
    pub(crate) fn has_room(&self, i: u32) -> bool {
        let end = self.starts.get(i as usize + 1).copied().unwrap_or(self.pieces.len());
        end > self.starts[i as usize]
    }

    /// Replaces a path.
    pub(crate) fn set(&mut self, i: u32, path: &[TokenId]) {
        let start = self.starts[i as usize];
        self.pieces[start..start + path.len()].copy_from_slice(path);
        self.lens[i as usize] = path.len() as u32;
    }
}

/// Which strings visit a token; may name strings that no longer do.
#[derive(Clone, Debug)]
pub(crate) struct Users(Vec<Vec<u32>>);

impl Users {
    /// Nobody uses any of `tokens` tokens.
    pub(crate) fn new(tokens: usize) -> Self {
        Self(vec![Vec::new(); tokens])
    }

    /// Notes the tokens that a string visits now and did not before.
    pub(crate) fn note(&mut self, i: u32, before: &[TokenId], now: &[TokenId]) {
        for (at, &token) in now.iter().enumerate() {
            if !before.contains(&token) && !now[..at].contains(&token) {
                self.0[token as usize].push(i);
            }
        }
    }

    /// Whether a string visits a token, or did.
    pub(crate) fn is_used(&self, token: TokenId) -> bool {
        !self.0[token as usize].is_empty()
    }

    /// Takes the strings that visit a token out of the index, each once.
    pub(crate) fn take(&mut self, token: TokenId, paths: &Paths) -> Vec<u32> {
        let mut users = std::mem::take(&mut self.0[token as usize]);
        users.retain(|&i| paths.get(i).contains(&token));
        users.sort_unstable();
        users.dedup();
        users
    }
}

/// The words of a count table with their paths and what they emit.
#[derive(Clone, Debug)]
pub struct Segmentation<'a> {
    pub(crate) counts: &'a WordCounts,
    pub(crate) trie: Trie,
    pub(crate) paths: Paths,
    /// Words that no path spells to the end; they emit the unknown token.
    broken: Vec<bool>,
    unknown: TokenId,
    emitted: Vec<u64>,
    /// Bytes that each token spells as the first piece of a word and as a later one, by id.
    sizes: Vec<[u32; 2]>,
    tokens: u64,
    unknown_words: u64,
    scratch: Vec<TokenId>,
}

impl<'a> Segmentation<'a> {
    /// Segments all words as `encoder` does without the tokens `removed`.
    #[must_use]
    pub fn new(encoder: &Encoder, counts: &'a WordCounts, removed: &[TokenId]) -> Self {
        let room = |word: &[u8]| Some(char_count(word)).filter(|&chars| chars <= encoder.max_word_chars()).unwrap_or(0);
        let mut segmentation = Self {
            counts,
            trie: trie_without(encoder, removed),
            paths: Paths::new((0..counts.len()).map(|i| room(counts.bytes(i)))),
            broken: vec![true; counts.len()],
            unknown: encoder.vocabulary().unknown(),
            emitted: vec![0; encoder.vocabulary().len()],
            sizes: (0..encoder.vocabulary().len() as TokenId).map(|id| sizes_of_token(encoder, id)).collect(),
            tokens: counts.total(),
            unknown_words: counts.total(),
            scratch: Vec::new(),
        };
        segmentation.emitted[segmentation.unknown as usize] = counts.total();
        for i in (0..counts.len()).filter(|&i| room(counts.bytes(i)) > 0) {
            segmentation.update(i as u32, |_, _, _| ());
        }
        segmentation
    }

    /// How often each token is emitted, by id.
    #[must_use]
    pub fn emitted(&self) -> &[u64] {
        &self.emitted
    }

    /// Number of tokens that all words emit.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Number of occurrences of words that are unknown.
    #[must_use]
    pub fn unknown_words(&self) -> u64 {
        self.unknown_words
    }

    /// How often the `i`-th word occurs.
    pub(crate) fn count(&self, i: u32) -> u64 {
        self.counts.count(i as usize)
    }

    /// Whether the `i`-th word is unknown.
    pub(crate) fn is_broken(&self, i: u32) -> bool {
        self.broken[i as usize]
    }

    /// Whether the `i`-th word is short enough to be spelled.
    pub(crate) fn has_room(&self, i: u32) -> bool {
        self.paths.has_room(i)
    }

    /// Number of tokens that the `i`-th word emits.
    pub(crate) fn len_of(&self, i: u32) -> usize {
        if self.broken[i as usize] { 1 } else { self.paths.get(i).len() }
    }

    /// Number of tokens that the `i`-th word would emit by the trie as it is now; None if it would be unknown.
    pub(crate) fn len_now(&mut self, i: u32) -> Option<usize> {
        self.scratch.clear();
        let word = self.counts.bytes(i as usize);
        trace(&self.trie, Position::Initial, word, &mut self.scratch).then_some(self.scratch.len())
    }

    /// Adds a token, whose id may be the next one; words that it changes must be updated.
    pub(crate) fn insert(&mut self, position: Position, surface: &[u8], id: TokenId) {
        self.trie.insert(position, surface, id);
        self.emitted.resize(self.emitted.len().max(id as usize + 1), 0);
        self.sizes.resize(self.emitted.len(), [0; 2]);
        self.sizes[id as usize] = sizes_of(&self.trie, position, surface.len());
    }

    /// Pieces of the `i`-th word, with where in it they begin.
    pub(crate) fn located(&self, i: u32) -> impl Iterator<Item = (TokenId, usize)> {
        let mut start = 0;
        let locate = move |&id: &TokenId| {
            let [first, later] = self.sizes[id as usize];
            let size = if start == 0 { first } else { later };
            (id, advance(&mut start, size as usize))
        };
        self.paths.get(i).iter().map(locate)
    }

    /// Segments a word by the trie as it is now; `changed` gets the word, its old path and its new one.
    pub(crate) fn update(&mut self, i: u32, changed: impl FnOnce(u32, &[TokenId], &[TokenId])) {
        self.emit(i, u64::wrapping_sub);
        self.scratch.clear();
        let spelled = trace(&self.trie, Position::Initial, self.counts.bytes(i as usize), &mut self.scratch);
        self.broken[i as usize] = !spelled;
        changed(i, self.paths.get(i), &self.scratch);
        self.paths.set(i, &self.scratch);
        self.emit(i, u64::wrapping_add);
    }

    fn emit(&mut self, i: u32, change: impl Fn(u64, u64) -> u64) {
        let count = self.count(i);
        self.tokens = change(self.tokens, count * self.len_of(i) as u64);
        if self.broken[i as usize] {
            self.unknown_words = change(self.unknown_words, count);
            self.emitted[self.unknown as usize] = change(self.emitted[self.unknown as usize], count);
            return;
        }
        for &token in self.paths.get(i) {
            self.emitted[token as usize] = change(self.emitted[token as usize], count);
        }
    }
}

/// Moves a position on; where it was.
fn advance(at: &mut usize, by: usize) -> usize {
    *at += by;
    *at - by
}

fn sizes_of_token(encoder: &Encoder, id: TokenId) -> [u32; 2] {
    let (surface, position) = encoder.vocabulary().surface(id);
    sizes_of(encoder.trie(), position, surface.len())
}

/// At the beginning of a word a continuation token is matched together with its prefix.
fn sizes_of(trie: &Trie, position: Position, size: usize) -> [u32; 2] {
    let prefix = if position == Position::Continuation { trie.prefix_len() } else { 0 };
    [(prefix + size) as u32, size as u32]
}

/// The encoder's trie without some tokens.
pub(crate) fn trie_without(encoder: &Encoder, removed: &[TokenId]) -> Trie {
    let mut trie = encoder.trie().clone();
    for &id in removed {
        let (surface, position) = encoder.vocabulary().surface(id);
        trie.remove(position, surface.as_bytes());
    }
    trie
}
