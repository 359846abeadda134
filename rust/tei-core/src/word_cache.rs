//! Words already encoded: a fixed table of 32-byte slots, two to a cache line, ids inline.
//!
//! A slot never grows, moves or locks; a full pair evicts its older word. What it holds never changes an output, only
//! the time it takes. The hash seed is drawn for each process, so no text can be made to collide on purpose.
use crate::TokenId;
use crate::huge::Huge;
use crate::packed::PackedWord;

/// How many ids a slot holds; words of more pieces are matched afresh each time.
pub const INLINE: usize = 4;

const COUNT: u32 = 124;
const KEY: u128 = (1 << COUNT) - 1;

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Slot {
    /// The packed word, and the number of ids in the four bits above it; zero when empty.
    key: u128,
    ids: [TokenId; INLINE],
}

/// A cache from short words to their ids.
pub struct WordCache {
    pairs: Huge<[Slot; 2]>,
    seeds: [u64; 2],
}

impl WordCache {
    /// A cache of 2 to the power of `bits` slots, 32 bytes each, hashed with `seed`.
    #[must_use]
    pub fn new(bits: u32, seed: u64) -> Self {
        let empty = Slot { key: 0, ids: [0; INLINE] };
        let pairs = Huge::new([empty; 2], 1 << bits.saturating_sub(1));
        Self { pairs, seeds: [seed | 1, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15] }
    }

    /// Asks for the memory that a later [`WordCache::get`] of this word will read, and says where that is.
    #[inline(always)]
    pub fn prefetch(&self, word: PackedWord) -> u32 {
        let place = self.place(word);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing, and SSE is part of every x86-64.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.pairs.as_ptr().wrapping_add(place as usize).cast());
        }
        place
    }

    /// The ids of a word, the first [`INLINE`] places of which `count` are filled; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, word: PackedWord, place: u32) -> Option<(&[TokenId; INLINE], usize)> {
        let pair = &self.pairs[place as usize];
        // Which of the two it is cannot be predicted, so it is computed.
        let slot = &pair[usize::from((pair[0].key & KEY) != word.bits())];
        ((slot.key & KEY) == word.bits()).then_some((&slot.ids, (slot.key >> COUNT) as usize))
    }

    /// Remembers a word of at most [`INLINE`] ids.
    pub fn insert(&mut self, word: PackedWord, place: u32, ids: &[TokenId]) {
        if ids.len() > INLINE {
            return;
        }
        let mut slot = Slot { key: word.bits() | (ids.len() as u128) << COUNT, ids: [0; INLINE] };
        slot.ids[..ids.len()].copy_from_slice(ids);
        let pair = &mut self.pairs[place as usize];
        pair[1] = pair[0];
        pair[0] = slot;
    }

    #[inline(always)]
    fn place(&self, word: PackedWord) -> u32 {
        let [low, high] = [word.bits() as u64, (word.bits() >> 64) as u64];
        let product = u128::from(low ^ self.seeds[0]) * u128::from(high ^ self.seeds[1]);
        ((product >> 64) as u32 ^ product as u32) & (self.pairs.len() - 1) as u32
    }
}

impl std::fmt::Debug for WordCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordCache").field("slots", &(self.pairs.len() * 2)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> PackedWord {
        PackedWord::new(text.as_bytes()).expect("short")
    }

    #[test]
    fn remembers_the_two_last_words_of_a_pair() {
        let mut cache = WordCache::new(1, 3);
        for (text, ids) in [("a", vec![1]), ("b", vec![2, 3]), ("c", vec![4, 5, 6, 7])] {
            cache.insert(word(text), 0, &ids);
        }
        assert_eq!(cache.get(word("a"), 0), None);
        assert_eq!(cache.get(word("b"), 0), Some((&[2, 3, 0, 0], 2)));
        assert_eq!(cache.get(word("c"), 0), Some((&[4, 5, 6, 7], 4)));
    }

    #[test]
    fn does_not_hold_words_of_many_pieces() {
        let mut cache = WordCache::new(4, 3);
        let place = cache.place(word("a"));
        cache.insert(word("a"), place, &[1; 5]);
        assert_eq!(cache.get(word("a"), place), None);
    }
}
