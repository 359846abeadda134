//! Words already encoded: fixed tables of slots, two of 32 bytes to a cache line, and larger ones for longer words.
//!
//! A slot never grows or locks. A full pair hands its older word over to its neighbour, which is looked into before a word
//! is matched again: a third fewer words are than with pairs alone. What a slot holds never changes an output, only the
//! time it takes. The hash seed is drawn for each process, so no text can be made to collide on purpose.
use crate::TokenId;
use crate::huge::Huge;
use crate::machine::{Baseline, Machine, prefetch};
use crate::packed::{PackedWord, Wide};

/// Places of a row that is written for a short word, and the greatest number of ids is one less.
pub const PLACES: usize = 8;

/// Above a packed word: its ids are in the other tables, since there are too many.
const ELSEWHERE: u128 = 1 << 124;

/// Ids of a word, as a slot holds them: of 16 bits each if all ids of the vocabulary fit into those, else of 32, one after
/// the other; their number comes last.
type Row<const N: usize> = [u16; N];

/// Ids in the first places of a row, and how many there are, fewer than places.
pub type Known<const N: usize> = ([TokenId; N], usize);

/// Two slots in one cache line; a key is a packed word, or zero when empty.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Pair {
    keys: [u128; 2],
    ids: [Row<PLACES>; 2],
}

/// A slot for a word of up to 8 K − 1 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Slot<const K: usize, const N: usize> {
    key: [u64; K],
    ids: Row<N>,
}

/// A cache from words to their ids.
pub struct WordCache {
    pairs: Huge<Pair>,
    wide: Huge<Slot<4, 16>>,
    /// Half a huge page; few words come here.
    long: Box<[Slot<8, 32>]>,
    seeds: [u64; 2],
    /// Whether an id has 16 bits.
    compact: bool,
}

impl WordCache {
    /// A cache of 2 to the power of `bits` slots of 32 bytes, a quarter as many of 64, and a sixteenth as many of 128,
    /// hashed with `seed`, for ids below `vocab_size`.
    #[must_use]
    pub fn new(bits: u32, seed: u64, vocab_size: usize) -> Self {
        let slots = |fewer: u32| 1_usize << bits.saturating_sub(fewer);
        Self {
            pairs: Huge::new(Pair { keys: [0; 2], ids: [[0; PLACES]; 2] }, slots(1)),
            wide: Huge::new(Slot { key: [0; 4], ids: [0; 16] }, slots(2)),
            long: vec![Slot { key: [0; 8], ids: [0; 32] }; slots(4)].into_boxed_slice(),
            seeds: [seed | 1, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15],
            compact: vocab_size <= 1 << 16,
        }
    }

    /// Whether an id has 16 bits; [`Pairs::get`] must be told.
    #[inline(always)]
    #[must_use]
    pub fn is_compact(&self) -> bool {
        self.compact
    }

    /// The slots of short words.
    #[inline(always)]
    #[must_use]
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs { pairs: &self.pairs, seeds: self.seeds }
    }

    /// As [`Pairs::prefetch`], for a longer word.
    #[inline(always)]
    #[must_use]
    pub fn prefetch_wide(&self, word: Wide<4>) -> u32 {
        place_of(&self.wide, word, self.seeds)
    }

    /// The same for a still longer word.
    #[must_use]
    pub fn prefetch_long(&self, word: Wide<8>) -> u32 {
        place_of(&self.long, word, self.seeds)
    }

    /// What [`Pairs::get`] does not know since it was put into the neighbouring pair; it comes back to its own.
    pub fn recall(&mut self, word: PackedWord, place: u32) -> Option<Known<PLACES>> {
        let neighbour = self.neighbour(place);
        let slot = Baseline::find(&self.pairs[neighbour].keys, word.bits())?;
        let pair = &mut self.pairs[neighbour];
        let (key, ids) = (std::mem::take(&mut pair.keys[slot]), pair.ids[slot]);
        self.push((key, ids), place);
        Some(unpack_any(&ids, self.compact))
    }

    fn neighbour(&self, place: u32) -> usize {
        (place as usize ^ 1) & (self.pairs.len() - 1)
    }

    /// Puts a slot first in its pair; the last one there goes to the neighbouring pair, as the last of that.
    fn push(&mut self, (key, ids): (u128, Row<PLACES>), place: u32) {
        let pair = &mut self.pairs[place as usize];
        let last = (pair.keys[1], pair.ids[1]);
        (pair.keys, pair.ids) = ([key, pair.keys[0]], [ids, pair.ids[0]]);
        if last.0 != 0 {
            let neighbour = self.neighbour(place);
            let pair = &mut self.pairs[neighbour];
            (pair.keys[1], pair.ids[1]) = last;
        }
    }

    /// Whether a word that [`Pairs::get`] does not know has more ids than it holds.
    #[must_use]
    pub fn is_elsewhere(&self, word: PackedWord, place: u32) -> bool {
        self.pairs[place as usize].keys.contains(&(word.bits() | ELSEWHERE))
    }

    /// The ids of a longer word; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get_wide(&self, word: Wide<4>, place: u32) -> Option<Known<16>> {
        known(&self.wide[place as usize], word, self.compact)
    }

    /// The ids of a still longer word; `place` is that of the word.
    #[must_use]
    pub fn get_long(&self, word: Wide<8>, place: u32) -> Option<Known<32>> {
        known(&self.long[place as usize], word, self.compact)
    }

    /// Remembers a word, or that it has too many ids; whether they fit.
    pub fn insert(&mut self, word: PackedWord, place: u32, ids: &[TokenId]) -> bool {
        let row = pack(ids, self.compact);
        let key = word.bits() | if row.is_some() { 0 } else { ELSEWHERE };
        self.push((key, row.unwrap_or_default()), place);
        row.is_some()
    }

    /// Remembers a longer word, if its ids fit; whether they do.
    pub fn insert_wide(&mut self, word: Wide<4>, place: u32, ids: &[TokenId]) -> bool {
        let row = pack(ids, self.compact);
        if let Some(ids) = row {
            self.wide[place as usize] = Slot { key: word.bits(), ids };
        }
        row.is_some()
    }

    /// Remembers a still longer word, if its ids fit.
    pub fn insert_long(&mut self, word: Wide<8>, place: u32, ids: &[TokenId]) {
        if let Some(ids) = pack(ids, self.compact) {
            self.long[place as usize] = Slot { key: word.bits(), ids };
        }
    }
}

/// The slots of short words; a loop over many words keeps it in registers, where it would ask a cache anew for each.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    pairs: &'a [Pair],
    seeds: [u64; 2],
}

impl Pairs<'_> {
    /// Asks for the memory that a later [`Pairs::get`] of this word will read, and says where that is.
    #[inline(always)]
    #[must_use]
    pub fn prefetch(self, word: PackedWord) -> u32 {
        let [low, high] = [word.bits() as u64, (word.bits() >> 64) as u64];
        let place = fold(low ^ self.seeds[0], high ^ self.seeds[1]) as u32 & (self.pairs.len() - 1) as u32;
        prefetch(self.pairs.as_ptr().wrapping_add(place as usize), 0);
        place
    }

    /// The ids of a word; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get<M: Machine, const COMPACT: bool>(self, word: PackedWord, place: u32) -> Option<Known<PLACES>> {
        let pair = &self.pairs[place as usize];
        Some(unpack::<COMPACT, PLACES>(&pair.ids[M::find(&pair.keys, word.bits())?]))
    }
}

/// A row of ids, if they fit.
fn pack<const N: usize>(ids: &[TokenId], compact: bool) -> Option<Row<N>> {
    let mut row = [0; N];
    let width = if compact { 1 } else { 2 };
    if ids.len() * width >= N {
        return None;
    }
    for (places, id) in row.chunks_exact_mut(width).zip(ids) {
        places.iter_mut().zip([*id as u16, (*id >> 16) as u16]).for_each(|(place, part)| *place = part);
    }
    row[N - 1] = ids.len() as u16;
    Some(row)
}

#[inline(always)]
fn unpack<const COMPACT: bool, const N: usize>(row: &Row<N>) -> Known<N> {
    let count = usize::from(row[N - 1]);
    // SAFETY: all rows are zeros or of `pack`, whose ids leave a place.
    unsafe { std::hint::assert_unchecked(count < N) };
    if COMPACT {
        return (row.map(TokenId::from), count);
    }
    let mut ids = [0; N];
    for (id, [low, high]) in ids.iter_mut().zip(row.as_chunks::<2>().0) {
        *id = TokenId::from(*low) | TokenId::from(*high) << 16;
    }
    (ids, count)
}

#[inline(always)]
fn unpack_any<const N: usize>(row: &Row<N>, compact: bool) -> Known<N> {
    if compact { unpack::<true, N>(row) } else { unpack::<false, N>(row) }
}

#[inline(always)]
fn known<const K: usize, const N: usize>(slot: &Slot<K, N>, word: Wide<K>, compact: bool) -> Option<Known<N>> {
    (slot.key == word.bits()).then(|| unpack_any(&slot.ids, compact))
}

#[inline(always)]
fn place_of<const K: usize, const N: usize>(slots: &[Slot<K, N>], word: Wide<K>, seeds: [u64; 2]) -> u32 {
    let mix = |hash, pair: &[u64; 2]| fold(hash ^ pair[0] ^ seeds[0], pair[1] ^ seeds[1]);
    let hash = word.bits().as_chunks().0.iter().fold(0, mix);
    let place = hash as u32 & (slots.len() - 1) as u32;
    prefetch(slots.as_ptr().wrapping_add(place as usize), 0);
    place
}

/// Multiplies to 128 bits and mixes the halves: every bit of both factors counts.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
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

    fn ids<const N: usize>(known: Option<Known<N>>) -> Option<Vec<TokenId>> {
        known.map(|(ids, count)| ids[..count].to_vec())
    }

    #[test]
    fn remembers_the_last_words_of_a_pair_and_recalls_older_ones() {
        let mut cache = WordCache::new(2, 3, 10);
        for (text, ids) in [("a", vec![1]), ("b", vec![2, 3]), ("c", vec![4, 5, 6, 7])] {
            assert!(cache.insert(word(text), 0, &ids));
        }
        let get = |cache: &WordCache, text| ids(cache.pairs().get::<Baseline, true>(word(text), 0));
        assert_eq!(get(&cache, "b"), Some(vec![2, 3]));
        assert_eq!(get(&cache, "c"), Some(vec![4, 5, 6, 7]));
        assert_eq!(get(&cache, "a"), None);
        assert_eq!(ids(cache.recall(word("a"), 0)), Some(vec![1]));
        assert_eq!(get(&cache, "a"), Some(vec![1]));
        assert_eq!(ids(cache.recall(word("b"), 0)), Some(vec![2, 3]));
        assert_eq!(cache.recall(word("d"), 0), None);
    }

    #[test]
    fn says_where_words_of_many_pieces_are() {
        let mut cache = WordCache::new(4, 3, 10);
        let place = cache.pairs().prefetch(word("a"));
        assert!(!cache.is_elsewhere(word("a"), place));
        assert!(!cache.insert(word("a"), place, &[1; 8]));
        assert_eq!(cache.pairs().get::<Baseline, true>(word("a"), place), None);
        assert!(cache.is_elsewhere(word("a"), place));
    }

    #[test]
    fn slots_hold_ids_of_any_size() {
        for (vocab_size, width) in [(1 << 16, 1), (1 << 20, 2)] {
            let mut cache = WordCache::new(6, 3, vocab_size);
            let (wide, long) =
                (Wide::read(&[b'x'; 99], 0, 20).expect("fits"), Wide::read(&[b'x'; 99], 0, 50).expect("fits"));
            for count in 1..40 {
                let all: Vec<_> = (0..count as TokenId).map(|i| vocab_size as TokenId - 1 - i).collect();
                let (short, place) = (word("a"), cache.pairs().prefetch(word("a")));
                cache = WordCache::new(6, 3, vocab_size);
                cache.insert(short, place, &all);
                cache.insert_wide(wide, 0, &all);
                cache.insert_long(long, 0, &all);
                let fits = |most: usize| (count * width < most).then(|| all.clone());
                let found = if width == 1 {
                    cache.pairs().get::<Baseline, true>(short, place)
                } else {
                    cache.pairs().get::<Baseline, false>(short, place)
                };
                assert_eq!(ids(found), fits(8), "{count} of {vocab_size}");
                assert_eq!(ids(cache.get_wide(wide, 0)), fits(16), "{count} of {vocab_size}");
                assert_eq!(ids(cache.get_long(long, 0)), fits(32), "{count} of {vocab_size}");
            }
        }
    }
}
