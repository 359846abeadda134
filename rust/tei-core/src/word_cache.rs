//! Words already encoded: fixed tables of 32-byte slots, two to a cache line, and of 64-byte slots for longer words.
//!
//! A slot never grows or locks. A full pair hands its older word over to its neighbour, which is looked into before a word
//! is matched again: a third fewer words are than with pairs alone. What a slot holds never changes an output, only the
//! time it takes. The hash seed is drawn for each process, so no text can be made to collide on purpose.
use crate::TokenId;
use crate::huge::Huge;
use crate::machine::{Baseline, Machine};
use crate::packed::{PackedWord, WideWord};

/// How many ids a slot holds; words of more pieces are matched afresh each time.
pub const INLINE: usize = 4;

/// The number of ids stands above the first of them.
const COUNT_SHIFT: u32 = 28;
const ID_MASK: TokenId = (1 << COUNT_SHIFT) - 1;
/// Above a packed word: its ids are in the other table, since there are too many.
const ELSEWHERE: u128 = 1 << 124;

/// Two slots in one cache line; a key is a packed word, or zero when empty.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Pair {
    keys: [u128; 2],
    ids: [[TokenId; INLINE]; 2],
}

/// A slot for a longer word, or one of more ids: a whole cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct WideSlot {
    key: [u64; 4],
    /// Number of ids and then the ids: of 16 bits each if all ids of the vocabulary fit into those, else of 32.
    ids: [u16; WIDEST],
}

/// The greatest number of places that the ids of a word are written to.
pub const WIDEST: usize = 16;

/// A cache from words to their ids.
pub struct WordCache {
    pairs: Huge<Pair>,
    wide: Huge<WideSlot>,
    seeds: [u64; 2],
    /// Whether an id has 16 bits.
    compact: bool,
}

impl WordCache {
    /// A cache of 2 to the power of `bits` slots of 32 bytes, and a quarter as many of 64, hashed with `seed`, for ids
    /// below `vocab_size`.
    #[must_use]
    pub fn new(bits: u32, seed: u64, vocab_size: usize) -> Self {
        let pairs = Huge::new(Pair { keys: [0; 2], ids: [[0; INLINE]; 2] }, 1 << bits.saturating_sub(1));
        let wide = Huge::new(WideSlot { key: [0; 4], ids: [0; WIDEST] }, 1 << bits.saturating_sub(2));
        let seeds = [seed | 1, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15];
        Self { pairs, wide, seeds, compact: vocab_size <= 1 << 16 }
    }

    /// Asks for the memory that a later [`WordCache::get`] of this word will read, and says where that is.
    #[inline(always)]
    #[must_use]
    pub fn prefetch(&self, word: PackedWord) -> u32 {
        let [low, high] = [word.bits() as u64, (word.bits() >> 64) as u64];
        let place = fold(low ^ self.seeds[0], high ^ self.seeds[1]) as u32 & (self.pairs.len() - 1) as u32;
        prefetch(self.pairs.as_ptr().wrapping_add(place as usize));
        place
    }

    /// The same for a later [`WordCache::get_wide`].
    #[inline(always)]
    #[must_use]
    pub fn prefetch_wide(&self, word: WideWord) -> u32 {
        let [a, b, c, d] = word.bits();
        let hash = fold(fold(a ^ self.seeds[0], b ^ self.seeds[1]) ^ c, d ^ self.seeds[1]);
        let place = hash as u32 & (self.wide.len() - 1) as u32;
        prefetch(self.wide.as_ptr().wrapping_add(place as usize));
        place
    }

    /// The ids of a word, the first [`INLINE`] places of which `count` are filled; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get<M: Machine>(&self, word: PackedWord, place: u32) -> Option<([TokenId; INLINE], usize)> {
        let pair = &self.pairs[place as usize];
        let [a, b, c, d] = pair.ids[M::find(&pair.keys, word.bits())?];
        Some(([a & ID_MASK, b, c, d], (a >> COUNT_SHIFT) as usize))
    }

    /// What [`WordCache::get`] does not know since it was put into the neighbouring pair; it comes back to its own.
    pub fn recall(&mut self, word: PackedWord, place: u32) -> Option<([TokenId; INLINE], usize)> {
        let neighbour = self.neighbour(place);
        let slot = Baseline::find(&self.pairs[neighbour].keys, word.bits())?;
        let pair = &mut self.pairs[neighbour];
        let found = (std::mem::take(&mut pair.keys[slot]), pair.ids[slot]);
        self.push(found, place);
        self.get::<Baseline>(word, place)
    }

    fn neighbour(&self, place: u32) -> usize {
        (place as usize ^ 1) & (self.pairs.len() - 1)
    }

    /// Puts a slot first in its pair; the last one there goes to the neighbouring pair, as the last of that.
    fn push(&mut self, (key, ids): (u128, [TokenId; INLINE]), place: u32) {
        let pair = &mut self.pairs[place as usize];
        let last = (pair.keys[1], pair.ids[1]);
        (pair.keys, pair.ids) = ([key, pair.keys[0]], [ids, pair.ids[0]]);
        if last.0 != 0 {
            let neighbour = self.neighbour(place);
            let pair = &mut self.pairs[neighbour];
            (pair.keys[1], pair.ids[1]) = last;
        }
    }

    /// Whether a word that [`WordCache::get`] does not know was given to [`WordCache::insert_wide`].
    #[must_use]
    pub fn is_elsewhere(&self, word: PackedWord, place: u32) -> bool {
        self.pairs[place as usize].keys.contains(&(word.bits() | ELSEWHERE))
    }

    /// The ids of a longer word, the first of which `count` are filled; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get_wide(&self, word: WideWord, place: u32) -> Option<([TokenId; WIDEST], usize)> {
        let slot = &self.wide[place as usize];
        if slot.key != word.bits() {
            return None;
        }
        let mut ids = [0; WIDEST];
        if self.compact {
            ids.iter_mut().zip(&slot.ids[1..]).for_each(|(id, low)| *id = TokenId::from(*low));
        } else {
            let halves = slot.ids[2..].as_chunks::<2>().0;
            ids.iter_mut()
                .zip(halves)
                .for_each(|(id, [low, high])| *id = TokenId::from(*low) | TokenId::from(*high) << 16);
        }
        Some((ids, usize::from(slot.ids[0])))
    }

    /// Remembers a word; if it has more ids than fit, only that [`WordCache::insert_wide`] may know them.
    pub fn insert(&mut self, word: PackedWord, place: u32, ids: &[TokenId]) {
        let (mut key, mut places) = (word.bits() | ELSEWHERE, [0; INLINE]);
        if (1..=INLINE).contains(&ids.len()) && ids[0] <= ID_MASK {
            key = word.bits();
            places[..ids.len()].copy_from_slice(ids);
            places[0] |= (ids.len() as TokenId) << COUNT_SHIFT;
        }
        self.push((key, places), place);
    }

    /// Remembers a longer word, if its ids fit.
    pub fn insert_wide(&mut self, word: WideWord, place: u32, ids: &[TokenId]) {
        let mut slot = WideSlot { key: word.bits(), ids: [0; WIDEST] };
        let fit = if self.compact { WIDEST - 1 } else { WIDEST / 2 - 1 };
        if ids.len() > fit {
            return;
        }
        slot.ids[0] = ids.len() as u16;
        for (i, id) in ids.iter().enumerate() {
            if self.compact {
                slot.ids[i + 1] = *id as u16;
            } else {
                [slot.ids[2 * i + 2], slot.ids[2 * i + 3]] = [*id as u16, (*id >> 16) as u16];
            }
        }
        self.wide[place as usize] = slot;
    }
}

/// Multiplies to 128 bits and mixes the halves: every bit of both factors counts.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[inline(always)]
fn prefetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, and SSE is part of every x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
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
    fn remembers_the_last_words_of_a_pair_and_recalls_older_ones() {
        let mut cache = WordCache::new(2, 3, 10);
        for (text, ids) in [("a", vec![1]), ("b", vec![2, 3]), ("c", vec![4, 5, 6, 7])] {
            cache.insert(word(text), 0, &ids);
        }
        assert_eq!(cache.get::<Baseline>(word("b"), 0), Some(([2, 3, 0, 0], 2)));
        assert_eq!(cache.get::<Baseline>(word("c"), 0), Some(([4, 5, 6, 7], 4)));
        assert_eq!(cache.get::<Baseline>(word("a"), 0), None);
        assert_eq!(cache.recall(word("a"), 0), Some(([1, 0, 0, 0], 1)));
        assert_eq!(cache.get::<Baseline>(word("a"), 0), Some(([1, 0, 0, 0], 1)));
        assert_eq!(cache.recall(word("b"), 0), Some(([2, 3, 0, 0], 2)));
        assert_eq!(cache.recall(word("d"), 0), None);
    }

    #[test]
    fn says_where_words_of_many_pieces_are() {
        let mut cache = WordCache::new(4, 3, 10);
        let place = cache.prefetch(word("a"));
        assert!(!cache.is_elsewhere(word("a"), place));
        cache.insert(word("a"), place, &[1; 5]);
        assert_eq!(cache.get::<Baseline>(word("a"), place), None);
        assert!(cache.is_elsewhere(word("a"), place));
    }

    #[test]
    fn wide_slots_hold_ids_of_any_size() {
        for (vocab_size, most) in [(1 << 16, 15), (1 << 20, 7)] {
            let mut cache = WordCache::new(4, 3, vocab_size);
            let word = WideWord::read(&[b'x'; 64], 0, 20).expect("31 bytes at most");
            let place = cache.prefetch_wide(word);
            for count in 1..=WIDEST {
                let ids: Vec<_> = (0..count as TokenId).map(|i| vocab_size as TokenId - 1 - i).collect();
                cache.insert_wide(word, place, &ids);
                let found = cache.get_wide(word, place).map(|(found, count)| found[..count].to_vec());
                assert_eq!(found.is_some_and(|found| found == ids), count <= most, "{count} of {vocab_size}");
            }
        }
    }
}
