//! Words → ids: all words of a chunk are asked for, then written one after the other, most of them without a branch.
use crate::TokenId;
use crate::encoder::Encoder;
use crate::machine::{Baseline, Machine};
use crate::packed::PackedWord;
use crate::scanner::{Found, Words};
use crate::word_cache::{INLINE, WordCache};

/// Writes the ids of words.
pub(super) struct Emit<'a> {
    pub lookup: Lookup<'a>,
    pub asked: &'a mut Asked,
    pub ids: &'a mut Vec<TokenId>,
    pub ends: &'a mut Vec<i64>,
    /// How many ids of each text are asked for.
    pub limit: usize,
    /// Where the ids of the text under way begin.
    pub row: usize,
}

impl Words for Emit<'_> {
    const RUNS: bool = true;

    fn take(&mut self, found: Found<'_>) {
        self.take_on::<Baseline>(found);
    }

    #[inline(always)]
    fn take_on<M: Machine>(&mut self, found: Found<'_>) {
        // All are asked for before the first is needed: by then its memory has arrived.
        self.asked.ask::<M>(found, self.lookup.cache);
        let mut next = 0;
        for &end in found.texts() {
            next = self.emit::<M>(found, next, end);
            self.end_row();
        }
        self.emit::<M>(found, next, u32::MAX);
    }

    fn is_full(&self) -> bool {
        self.ids.len() - self.row >= self.limit
    }

    fn longest(&self) -> usize {
        4 * (self.lookup.encoder.max_word_chars() + 1)
    }
}

impl Emit<'_> {
    #[inline(always)]
    pub fn end_row(&mut self) {
        self.ids.truncate(self.row.saturating_add(self.limit));
        self.row = self.ids.len();
        self.ends.push(self.row as i64);
    }

    /// Writes the ids of the words from the `next` on that begin before `end`; returns the number of the word after.
    #[inline(always)]
    fn emit<M: Machine>(&mut self, found: Found<'_>, mut next: usize, end: u32) -> usize {
        let count = found.len();
        loop {
            let mut out = Out::new(self.ids, count - next);
            let words = self.asked.words(count).zip(found.starts()).skip(next);
            for ((key, place), start) in words {
                // A long word has a key that is in no slot.
                let known = if *start < end { self.lookup.cache.get::<M>(*key, *place) } else { None };
                let Some((ids, count)) = known else { break };
                out.push(ids, count);
                next += 1;
            }
            out.close(self.ids);
            if next == count || found.starts()[next] >= end {
                return next;
            }
            if found.is_run(next) {
                self.lookup.encoder.encode_ideographs(found.bytes(next), self.ids);
            } else {
                let (key, place) = self.asked.word(next);
                self.lookup.find(key, place, found, next, self.ids);
            }
            next += 1;
        }
    }
}

/// Words whose place in the cache has been asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    keys: Vec<PackedWord>,
    places: Vec<u32>,
}

impl Asked {
    #[inline(always)]
    fn ask<M: Machine>(&mut self, found: Found<'_>, cache: &WordCache) {
        if self.keys.len() < found.len() {
            self.keys.resize(found.len(), PackedWord::LONG);
            self.places.resize(found.len(), 0);
        }
        let waiting = self.keys.iter_mut().zip(&mut self.places);
        for (i, ((key, place), packed)) in waiting.zip(found.packed::<M>()).enumerate() {
            (*key, *place) = if found.is_run(i) {
                // Nothing to ask for: ids of ideographs are in a table.
                (PackedWord::LONG, 0)
            } else if packed == PackedWord::LONG {
                (packed, found.wide(i).map_or(0, |wide| cache.prefetch_wide(wide)))
            } else {
                (packed, cache.prefetch(packed))
            };
        }
    }

    /// The first `count` words and their places.
    #[inline(always)]
    fn words(&self, count: usize) -> impl Iterator<Item = (&PackedWord, &u32)> {
        self.keys[..count].iter().zip(&self.places[..count])
    }

    fn word(&self, i: usize) -> (PackedWord, u32) {
        (self.keys[i], self.places[i])
    }
}

/// Knows the ids of words.
pub(super) struct Lookup<'a> {
    pub encoder: &'a Encoder,
    pub cache: &'a mut WordCache,
    pub pieces: &'a mut Vec<TokenId>,
}

impl Lookup<'_> {
    /// Appends the ids of a word that is long or not in its place.
    #[inline(never)]
    fn find(&mut self, key: PackedWord, place: u32, found: Found<'_>, i: usize, ids: &mut Vec<TokenId>) {
        if key != PackedWord::LONG
            && let Some((known, count)) = self.cache.recall(key, place)
        {
            return ids.extend_from_slice(&known[..count]);
        }
        let wide = found.wide(i).filter(|_| key == PackedWord::LONG || self.cache.is_elsewhere(key, place));
        if let Some((known, count)) = wide.and_then(|word| self.cache.get_wide(word, self.cache.prefetch_wide(word))) {
            return ids.extend_from_slice(&known[..count]);
        }
        self.match_anew(key, place, found, i);
        ids.extend_from_slice(self.pieces);
    }

    fn match_anew(&mut self, key: PackedWord, place: u32, found: Found<'_>, i: usize) {
        self.pieces.clear();
        self.encoder.encode_word(found.bytes(i), self.pieces);
        let short = key != PackedWord::LONG;
        if short {
            self.cache.insert(key, place, self.pieces);
        }
        if let Some(word) = found.wide(i).filter(|_| !short || self.pieces.len() > INLINE) {
            self.cache.insert_wide(word, self.cache.prefetch_wide(word), self.pieces);
        }
    }
}

/// The end of a vector of ids, written without a loop: whole arrays are stored, and only some of each kept.
struct Out {
    ids: *mut TokenId,
    len: usize,
}

impl Out {
    /// With room for `words` words of at most [`INLINE`] ids.
    #[inline(always)]
    fn new(ids: &mut Vec<TokenId>, words: usize) -> Self {
        ids.reserve((words + 1) * INLINE);
        Self { ids: ids.as_mut_ptr(), len: ids.len() }
    }

    /// Appends the first `count` of `ids`.
    #[inline(always)]
    fn push(&mut self, ids: [TokenId; INLINE], count: usize) {
        // SAFETY: the room is for as many words as are asked for, and at most `INLINE` ids of each.
        unsafe { self.ids.add(self.len).cast::<[TokenId; INLINE]>().write_unaligned(ids) };
        self.len += count.min(INLINE);
    }

    #[inline(always)]
    fn close(&self, ids: &mut Vec<TokenId>) {
        // SAFETY: everything before `len` was written, and `len` is within the capacity of this vector.
        unsafe { ids.set_len(self.len) };
    }
}
