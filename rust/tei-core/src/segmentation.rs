//! All words of a count table with their pieces, kept up to date while tokens come and go one at a time.
//!
//! Leftmost longest match is local: taking a token away changes exactly the words whose match path visits it. So a table
//! of paths and an index from token to words give the effect of an edit without encoding the text again. Paths follow
//! from the tokens alone: to undo edits, tokens are put back, and the words that changed are segmented again.
//!
//! Tokens have numbers of their own here, which stay when ids change: ids ascend as they do; at first both are the same.
use std::ops::Range;
use std::sync::Arc;

use crate::TokenId;
use crate::encoder::Encoder;
use crate::paths::{Paths, advance, char_count, sorted_once, trace};
use crate::trie::Trie;
use crate::vocabulary::{Position, Vocabulary};
use crate::word_counts::WordCounts;

/// The id of a token that is gone.
const GONE: TokenId = TokenId::MAX;

/// What was done since a part began that will be undone.
#[derive(Clone, Debug, Default)]
struct Journal {
    /// Tokens at that time.
    tokens: usize,
    /// Tokens that came or went: where they may stand, what they spell, and the number if one is to be put back.
    edits: Vec<(Position, Box<[u8]>, Option<TokenId>)>,
    /// Words that were segmented again.
    words: Vec<u32>,
}

/// The words of a count table with their paths and what they emit.
#[derive(Clone, Debug)]
pub struct Segmentation {
    pub(crate) counts: Arc<WordCounts>,
    pub(crate) trie: Trie,
    pub(crate) paths: Paths,
    /// Words that no path spells to the end; they emit the unknown token.
    broken: Vec<bool>,
    /// Those of them that are not too long; may name others.
    unspelled: Vec<u32>,
    max_word_chars: usize,
    unknown: TokenId,
    emitted: Vec<u64>,
    /// Bytes that each token spells as the first piece of a word and as a later one.
    sizes: Vec<[u32; 2]>,
    /// The id of each token.
    ids: Vec<TokenId>,
    /// The number of each id.
    numbers: Vec<TokenId>,
    total: u64,
    tokens: u64,
    unknown_words: u64,
    scratch: Vec<TokenId>,
    journal: Option<Journal>,
}

impl Segmentation {
    /// Segments all words as `encoder` does without the tokens `removed`.
    #[must_use]
    pub fn new(encoder: &Encoder, counts: Arc<WordCounts>, removed: &[TokenId]) -> Self {
        let (size, total) = (encoder.vocabulary().len() as TokenId, counts.total());
        let (max, words) = (encoder.max_word_chars(), counts.len());
        let mut segmentation = Self {
            trie: trie_without(encoder, removed),
            paths: Paths::new((0..words).map(|i| room(counts.bytes(i), max))),
            counts,
            broken: vec![true; words],
            unspelled: Vec::new(),
            max_word_chars: max,
            unknown: encoder.vocabulary().unknown(),
            emitted: vec![0; size as usize],
            sizes: (0..size).map(|id| sizes_of_token(encoder, id)).collect(),
            ids: (0..size).collect(),
            numbers: (0..size).collect(),
            total,
            tokens: total,
            unknown_words: total,
            scratch: Vec::new(),
            journal: None,
        };
        segmentation.emitted[segmentation.unknown as usize] = total;
        (0..words as u32).for_each(|i| segmentation.spell(i));
        segmentation
    }

    /// Adds occurrences of a word, which may be the next one of the counts.
    pub(crate) fn add(&mut self, i: u32, count: u64) {
        let is_new = i as usize == self.paths.len();
        if is_new {
            self.paths.push(room(self.counts.bytes(i as usize), self.max_word_chars));
            self.broken.push(true);
        }
        self.emit(i, u64::wrapping_sub);
        self.total = self.total.saturating_add(count);
        Arc::make_mut(&mut self.counts).add_at(i, count);
        self.emit(i, u64::wrapping_add);
        if is_new {
            self.spell(i);
        }
    }

    fn spell(&mut self, i: u32) {
        if self.has_room(i) {
            self.update(i, |_, _, _| ());
        }
    }

    /// How often each token is emitted.
    #[must_use]
    pub fn emitted(&self) -> &[u64] {
        &self.emitted
    }

    /// Whether a word that is spelled to the end visits a token; of the unknown one it may say no.
    pub(crate) fn emits(&self, token: TokenId) -> bool {
        token != self.unknown && self.emitted[token as usize] > 0
    }

    /// How often each token is emitted, by id.
    #[must_use]
    pub fn emitted_by_id(&self) -> Vec<u64> {
        self.numbers.iter().map(|&token| self.emitted[token as usize]).collect()
    }

    /// Number of occurrences of all words.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
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

    /// Number of tokens that there are or were.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The id of a token; None if it is gone.
    pub(crate) fn id(&self, token: TokenId) -> Option<TokenId> {
        Some(self.ids[token as usize]).filter(|&id| id != GONE)
    }

    /// The tokens of ids.
    pub(crate) fn numbers(&self, ids: &[TokenId]) -> Vec<TokenId> {
        ids.iter().map(|&id| self.numbers[id as usize]).collect()
    }

    /// What a token spells, and where; nothing if it is gone.
    pub(crate) fn surface<'v>(&self, vocabulary: &'v Vocabulary, token: TokenId) -> (&'v str, Position) {
        self.id(token).map_or(("", Position::Initial), |id| vocabulary.surface(id))
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

    /// Words that are unknown although they are not too long.
    pub(crate) fn unspelled(&mut self) -> Vec<u32> {
        let mut words = sorted_once(std::mem::take(&mut self.unspelled));
        words.retain(|&i| self.is_broken(i));
        self.unspelled.clone_from(&words);
        words
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

    /// Adds a token, whose number may be the next one; words that it changes must be updated.
    pub(crate) fn insert(&mut self, position: Position, surface: &[u8], token: TokenId) {
        self.trie.insert(position, surface, token);
        self.log(position, surface, None);
        self.emitted.resize(self.emitted.len().max(token as usize + 1), 0);
        self.sizes.resize(self.emitted.len(), [0; 2]);
        self.sizes[token as usize] = sizes_of(&self.trie, position, surface.len());
    }

    /// Takes a token away; words that it changes must be updated.
    pub(crate) fn remove(&mut self, (surface, position): (&str, Position)) {
        let surface = surface.as_bytes();
        if self.journal.is_some()
            && let Some(token) = self.trie.get(position, surface)
        {
            self.log(position, surface, Some(token));
        }
        self.trie.remove(position, surface);
    }

    fn log(&mut self, position: Position, surface: &[u8], before: Option<TokenId>) {
        if let Some(journal) = &mut self.journal {
            journal.edits.push((position, surface.into(), before));
        }
    }

    /// Follows a change of ids: `id_map` has the new id of each, which ascend from 0, or None; the last tokens are new.
    pub(crate) fn renumber(&mut self, id_map: &[Option<TokenId>], after: &Vocabulary) {
        for id in self.ids.iter_mut().filter(|id| **id != GONE) {
            *id = id_map[*id as usize].unwrap_or(GONE);
        }
        let kept = id_map.iter().flatten().count();
        self.ids.extend(kept as TokenId..after.len() as TokenId);
        self.numbers = (0..self.ids.len() as TokenId).filter(|&token| self.id(token).is_some()).collect();
        self.emitted.resize(self.ids.len(), 0);
        self.sizes.resize(self.ids.len(), [0; 2]);
        self.emitted[self.unknown as usize] -= self.unknown_words;
        self.unknown = self.numbers[after.unknown() as usize];
        self.emitted[self.unknown as usize] += self.unknown_words;
    }

    /// Pieces of the `i`-th word, with where in it they begin.
    pub(crate) fn located(&self, i: u32) -> impl Iterator<Item = (TokenId, usize)> {
        let mut start = 0;
        let locate = move |&token: &TokenId| {
            let [first, later] = self.sizes[token as usize];
            let size = if start == 0 { first } else { later };
            (token, advance(&mut start, size as usize))
        };
        self.paths.get(i).iter().map(locate)
    }

    /// Segments a word by the trie as it is now; `changed` gets the word, its old path and its new one.
    pub(crate) fn update(&mut self, i: u32, changed: impl FnOnce(u32, &[TokenId], &[TokenId])) {
        self.emit(i, u64::wrapping_sub);
        self.scratch.clear();
        let spelled = trace(&self.trie, Position::Initial, self.counts.bytes(i as usize), &mut self.scratch);
        self.broken[i as usize] = !spelled;
        if !spelled {
            self.unspelled.push(i);
        }
        if let Some(journal) = &mut self.journal {
            journal.words.push(i);
        }
        changed(i, self.paths.get(i), &self.scratch);
        self.paths.set(i, &self.scratch);
        self.emit(i, u64::wrapping_add);
    }

    /// The same for a word that visits a token just taken away; `changed` gets the word, its old path, and the part of it that
    /// something else takes the place of.
    ///
    /// What comes before the token stays, and so does all from where an old piece and a new one begin at the same byte.
    pub(crate) fn update_without(
        &mut self,
        token: TokenId,
        i: u32,
        changed: impl FnOnce(u32, &[TokenId], Range<usize>, &[TokenId]),
    ) {
        let mut pieces = std::mem::take(&mut self.scratch);
        pieces.clear();
        let part = self.replaced(token, i, &mut pieces);
        if let Some(part) = part {
            self.exchange(i, part.clone(), &pieces);
            changed(i, self.paths.get(i), part.clone(), &pieces);
            self.paths.splice(i, part, &pieces);
            self.journal.iter_mut().for_each(|journal| journal.words.push(i));
            self.scratch = pieces;
        } else {
            self.scratch = pieces;
            self.update(i, |i, before, now| changed(i, before, 0..before.len(), now));
        }
    }

    /// The part of a path that changes as a token is taken away, and the pieces that come instead; None if the word was or will
    /// be unknown, and all that it emits changes.
    fn replaced(&self, token: TokenId, i: u32, pieces: &mut Vec<TokenId>) -> Option<Range<usize>> {
        if self.broken[i as usize] {
            return None;
        }
        let (path, word) = (self.paths.get(i), self.counts.bytes(i as usize));
        let size = |at: usize| self.sizes[path[at] as usize][usize::from(at > 0)] as usize;
        let first = path.iter().position(|&piece| piece == token).unwrap_or(path.len());
        let last = path.iter().rposition(|&piece| piece == token).unwrap_or(path.len());
        let (mut next, mut end) = (first, (0..first).map(size).sum());
        let mut at = end;
        loop {
            while end < at && next < path.len() {
                end += size(next);
                next += 1;
            }
            if at == end && next > last {
                return Some(first..next);
            }
            let position = if at == 0 { Position::Initial } else { Position::Continuation };
            let (id, len) = self.trie.longest(position, &word[at..])?;
            pieces.push(id);
            at += len;
        }
    }

    /// Counts what a word emits instead of a part of its path.
    fn exchange(&mut self, i: u32, part: Range<usize>, pieces: &[TokenId]) {
        let count = self.count(i);
        self.tokens = self.tokens.wrapping_add(count.wrapping_mul(pieces.len().wrapping_sub(part.len()) as u64));
        for &token in &self.paths.get(i)[part] {
            self.emitted[token as usize] = self.emitted[token as usize].wrapping_sub(count);
        }
        for &token in pieces {
            self.emitted[token as usize] = self.emitted[token as usize].wrapping_add(count);
        }
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

    /// Begins a part that will be undone.
    pub(crate) fn begin(&mut self) {
        self.journal = Some(Journal { tokens: self.emitted.len(), ..Journal::default() });
    }

    /// Puts tokens and words back as they were when the part began.
    pub(crate) fn undo(&mut self) {
        let Some(Journal { tokens, edits, words }) = self.journal.take() else { return };
        for (position, surface, before) in edits.into_iter().rev() {
            match before {
                Some(token) => self.trie.insert(position, &surface, token),
                None => self.trie.remove(position, &surface),
            }
        }
        sorted_once(words).into_iter().for_each(|i| self.update(i, |_, _, _| ()));
        self.emitted.truncate(tokens);
        self.sizes.truncate(tokens);
    }
}

/// Number of tokens that a word may have: its characters, or none if it is too long.
fn room(word: &[u8], max_word_chars: usize) -> usize {
    Some(char_count(word)).filter(|&chars| chars <= max_word_chars).unwrap_or(0)
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

#[cfg(test)]
mod tests;
