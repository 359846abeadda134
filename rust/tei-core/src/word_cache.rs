//! Words already encoded: fixed tables of slots, two of 32 bytes to a cache line, and larger ones for longer words.
//!
//! A word of more ids than its slot has room for leaves a mark there, and its ids in the next larger table.
//! A slot never grows or locks. What is new takes a free slot, or else, now and then, the one of a word that was not met
//! again, so text full of words that come once leaves the others where they are. What a slot holds never changes an output,
//! only the time it takes. The hash seed is drawn for each process, so no text can be made to collide on purpose.
use crate::TokenId;
use crate::huge::{Huge, Zero};
use crate::machine::{Baseline, Machine, prefetch};
use crate::packed::{PackedWord, Wide, fold};

/// Places of a row that is written for a short word, and the greatest number of ids is one less.
pub const PLACES: usize = 8;

/// A word may be in so many pairs side by side: two take 3 to 5 % longer for many languages at once, and eight as long as four.
/// A second pair chosen by the hash takes as long to be kept reachable, as words move, as it saves.
const GROUP: usize = 4;

/// Where no slot is free, one new word in so many takes that of another: of more words than there are slots, a fifth less are
/// then matched anew than if each did, and no fewer if only one in eight does.
const ONE_IN: u32 = 4;

/// Ids of a word, as a slot holds them: of 16 bits each if all ids of the vocabulary fit into those, else of 32, one after
/// the other; their number comes last.
type Row<const N: usize> = [u16; N];

/// Ids in the first places of a row, and how many there are, fewer than places.
pub type Known<const N: usize> = ([TokenId; N], usize);

/// What is known of a short word that is not in its own pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Its ids.
    Known(Known<PLACES>),
    /// That its ids are in the next larger table.
    Longer,
    /// Nothing.
    New,
}

/// Two slots in one cache line; a key is a packed word, or zero when empty.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Pair {
    keys: [u128; 2],
    ids: [Row<PLACES>; 2],
}

/// A slot for a word of up to 8 K − 1 bytes; a key of zeros when empty.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Slot<const K: usize, const N: usize> {
    key: [u64; K],
    ids: Row<N>,
}

// SAFETY: of integers only, as slots are.
unsafe impl Zero for Pair {}
// SAFETY: as above.
unsafe impl<const K: usize, const N: usize> Zero for Slot<K, N> {}

/// The slots that a longer word may be in: the first for one that was met again.
type Set<const K: usize, const N: usize> = [Slot<K, N>; 2];

/// Whose turn it is to take a slot that is not free.
#[derive(Debug)]
struct Turns(u32);

impl Turns {
    fn next(&mut self) -> bool {
        self.0 = (self.0 + 1) % ONE_IN;
        self.0 == 1
    }
}

/// A cache from words to their ids.
#[derive(Debug)]
pub struct WordCache {
    pairs: Huge<Pair>,
    /// Words of up to 31 bytes, and shorter ones of many ids.
    wide: Huge<Set<4, 16>>,
    long: Huge<Set<8, 32>>,
    seeds: [u64; 2],
    /// Whether an id has 16 bits.
    compact: bool,
    turns: Turns,
}

impl WordCache {
    /// A cache of 2 to the power of `bits` slots of 32 bytes, 11/32 as many of 64, and 1/16 as many of 128, hashed with
    /// `seed`, for ids below `vocab_size`.
    #[must_use]
    pub fn new(bits: u32, seed: u64, vocab_size: usize) -> Self {
        let pairs = 1 << (bits - 1);
        Self {
            pairs: Huge::zeros(pairs),
            wide: Huge::zeros((pairs * 11 / 32).max(1)),
            long: Huge::zeros((pairs / 16).max(1)),
            seeds: [seed | 1, seed.rotate_left(32) ^ 0x9E37_79B9_7F4A_7C15],
            compact: vocab_size <= 1 << 16,
            turns: Turns(0),
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

    /// What is known of a word that [`Pairs::get`] does not know. If it is in a neighbouring pair, it has been met again, and
    /// comes to its own.
    pub fn recall(&mut self, word: PackedWord, place: u32) -> Recalled {
        for pair in self.places(place) {
            let keys = &self.pairs[pair].keys;
            if Baseline::find(keys, word.mark()).is_some() {
                return Recalled::Longer;
            }
            if let Some(slot) = Baseline::find(keys, word.bits()) {
                let (found, own) = (self.pairs[pair].get(slot), &mut self.pairs[place as usize]);
                let [first, last] = [0, 1].map(|slot| own.get(slot));
                own.set(0, found);
                own.set(1, first);
                self.pairs[pair].set(slot, last);
                return Recalled::Known(unpack_any(&found.1, self.compact));
            }
        }
        Recalled::New
    }

    /// The pairs that a word may be in, its own first.
    fn places(&self, place: u32) -> [usize; GROUP] {
        std::array::from_fn(|i| (place as usize ^ i) & (self.pairs.len() - 1))
    }

    /// The ids of a longer word; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get_wide(&mut self, word: Wide<4>, place: u32) -> Option<Known<16>> {
        known(&mut self.wide[place as usize], word, self.compact)
    }

    /// The ids of a still longer word; `place` is that of the word.
    #[must_use]
    pub fn get_long(&mut self, word: Wide<8>, place: u32) -> Option<Known<32>> {
        known(&mut self.long[place as usize], word, self.compact)
    }

    /// Whether a longer word that is not known has been met, and has more ids than fit into its slot.
    #[must_use]
    pub fn is_marked_wide(&self, word: Wide<4>, place: u32) -> bool {
        self.wide[place as usize].iter().any(|slot| word.mark().is(&slot.key))
    }

    /// Remembers a new word, or that its ids do not fit; whether they do.
    pub fn insert(&mut self, word: PackedWord, place: u32, ids: &[TokenId]) -> bool {
        let row = pack(ids, self.compact);
        let places = self.places(place);
        let free = |pair: &usize| self.pairs[*pair].keys.iter().position(|key| *key == 0).map(|slot| (*pair, slot));
        let last = (places[GROUP - 1], 1);
        if let Some((pair, slot)) = places.iter().find_map(free).or_else(|| self.turns.next().then_some(last)) {
            self.pairs[pair].set(slot, row.map_or((word.mark(), [0; PLACES]), |row| (word.bits(), row)));
        }
        row.is_some()
    }

    /// The same for a longer word.
    pub fn insert_wide(&mut self, word: Wide<4>, place: u32, ids: &[TokenId]) -> bool {
        let row = pack(ids, self.compact);
        if row.is_some() || !self.is_marked_wide(word, place) {
            let key = if row.is_some() { word } else { word.mark() };
            remember(&mut self.wide[place as usize], key, row.unwrap_or_default(), &mut self.turns);
        }
        row.is_some()
    }

    /// Remembers a still longer word, if its ids fit.
    pub fn insert_long(&mut self, word: Wide<8>, place: u32, ids: &[TokenId]) {
        if let Some(row) = pack(ids, self.compact) {
            remember(&mut self.long[place as usize], word, row, &mut self.turns);
        }
    }
}

impl Pair {
    fn get(&self, slot: usize) -> (u128, Row<PLACES>) {
        (self.keys[slot], self.ids[slot])
    }

    fn set(&mut self, slot: usize, (key, ids): (u128, Row<PLACES>)) {
        (self.keys[slot], self.ids[slot]) = (key, ids);
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
    ///
    /// Unless the word is plain, and so most likely in its place, for the first pair that a [`WordCache::recall`] would read, too:
    /// without it, many languages at once take 4 % longer.
    #[inline(always)]
    #[must_use]
    pub fn prefetch<const PLAIN: bool>(self, word: PackedWord) -> u32 {
        let place = word.hash(self.seeds) as u32 & (self.pairs.len() - 1) as u32;
        prefetch(self.pairs.as_ptr().wrapping_add(place as usize), 0);
        if !PLAIN {
            prefetch(self.pairs.as_ptr().wrapping_add(place as usize ^ 1), 0);
        }
        place
    }

    /// The ids of a word; `place` is that of the word.
    #[inline(always)]
    #[must_use]
    pub fn get<M: Machine, const COMPACT: bool>(self, word: PackedWord, place: u32) -> Option<Known<PLACES>> {
        let pair = self.pairs.get(place as usize)?;
        Some(unpack::<COMPACT, PLACES>(&pair.ids[M::find(&pair.keys, word.bits())?]))
    }
}

/// A row of ids, if they fit.
fn pack<const N: usize>(ids: &[TokenId], compact: bool) -> Option<Row<N>> {
    let mut row = [0; N];
    if ids.len() * if compact { 1 } else { 2 } >= N {
        return None;
    }
    if compact {
        row.iter_mut().zip(ids).for_each(|(place, id)| *place = *id as u16);
    } else {
        let places = row.as_chunks_mut().0;
        places.iter_mut().zip(ids).for_each(|(place, id)| *place = [*id as u16, (*id >> 16) as u16]);
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

/// What a set knows of a word; one that is met again becomes the first.
#[inline(always)]
fn known<const K: usize, const N: usize>(set: &mut Set<K, N>, word: Wide<K>, compact: bool) -> Option<Known<N>> {
    if !word.is(&set[0].key) {
        if !word.is(&set[1].key) {
            return None;
        }
        set.swap(0, 1);
    }
    Some(unpack_any(&set[0].ids, compact))
}

/// Puts a word into a free slot, or, if it is its turn, into that of one that was not met again.
fn remember<const K: usize, const N: usize>(set: &mut Set<K, N>, word: Wide<K>, ids: Row<N>, turns: &mut Turns) {
    let free = set.iter().position(|slot| slot.key == [0; K]);
    if let Some(slot) = free.or_else(|| turns.next().then_some(1)) {
        set[slot] = Slot { key: word.bits(), ids };
    }
}

#[inline(always)]
fn place_of<const K: usize, const N: usize>(sets: &[Set<K, N>], word: Wide<K>, seeds: [u64; 2]) -> u32 {
    let mix = |hash, pair: &[u64; 2]| fold(hash ^ pair[0] ^ seeds[0], pair[1] ^ seeds[1]);
    let hash = word.bits().as_chunks().0.iter().fold(0, mix);
    // As a share of the table, whose length need not be a power of two.
    let place = ((u64::from(hash as u32) * sets.len() as u64) >> 32) as u32;
    let set = sets.as_ptr().wrapping_add(place as usize);
    prefetch(set, 0);
    prefetch(set, size_of::<Slot<K, N>>());
    place
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
    fn new_words_leave_those_alone_that_were_met_again() {
        let mut cache = WordCache::new(3, 3, 10);
        for (id, text) in (1..).zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"]) {
            assert!(cache.insert(word(text), 0, &[id]));
        }
        let get = |cache: &WordCache, text| ids(cache.pairs().get::<Baseline, true>(word(text), 0));
        let recall = |cache: &mut WordCache, text| match cache.recall(word(text), 0) {
            Recalled::Known(known) => ids(Some(known)),
            other => (other != Recalled::New).then(Vec::new),
        };
        assert_eq!(["a", "b", "c"].map(|text| get(&cache, text)), [Some(vec![1]), Some(vec![2]), None]);
        assert_eq!(recall(&mut cache, "h"), None, "the last new word took its slot");
        assert_eq!(recall(&mut cache, "i"), Some(vec![9]));
        assert_eq!(["i", "a", "b"].map(|text| get(&cache, text)), [Some(vec![9]), Some(vec![1]), None]);
        for _ in 1..ONE_IN {
            cache.insert(word("j"), 0, &[6]);
            assert_eq!(recall(&mut cache, "j"), None, "it was not its turn");
        }
        cache.insert(word("j"), 0, &[6; PLACES]);
        let want = [None, Some(vec![3]), Some(vec![5]), Some(vec![7]), Some(vec![])];
        assert_eq!(["b", "c", "e", "g", "j"].map(|text| recall(&mut cache, text)), want);
    }

    #[test]
    fn longer_words_leave_those_alone_that_were_met_again() {
        let mut cache = WordCache::new(2, 3, 10);
        let [a, b, c] = [20, 21, 22].map(|len| Wide::read(&[b'x'; 99], 0, len).expect("fits"));
        assert!(cache.insert_wide(a, 0, &[1]) && cache.insert_wide(b, 0, &[2]));
        assert_eq!([a, b].map(|word| ids(cache.get_wide(word, 0))), [Some(vec![1]), Some(vec![2])]);
        assert!(cache.insert_wide(c, 0, &[3]));
        assert!(cache.insert_wide(a, 0, &[1]), "its ids fit, if it is not its turn");
        assert_eq!([a, b, c].map(|word| ids(cache.get_wide(word, 0))), [None, Some(vec![2]), Some(vec![3])]);
    }

    #[test]
    fn slots_hold_ids_of_any_size() {
        for (vocab_size, width) in [(1 << 16, 1), (1 << 20, 2)] {
            let mut cache = WordCache::new(6, 3, vocab_size);
            let (wide, long) =
                (Wide::read(&[b'x'; 99], 0, 20).expect("fits"), Wide::read(&[b'x'; 99], 0, 50).expect("fits"));
            for count in 1..40 {
                let all: Vec<_> = (0..count as TokenId).map(|i| vocab_size as TokenId - 1 - i).collect();
                let (short, place) = (word("a"), cache.pairs().prefetch::<true>(word("a")));
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
                let is_longer = cache.recall(short, place) == Recalled::Longer;
                assert_eq!(is_longer, fits(8).is_none(), "{count} of {vocab_size}");
                assert_eq!(cache.is_marked_wide(wide, 0), fits(16).is_none(), "{count} of {vocab_size}");
                assert_eq!(ids(cache.get_wide(wide, 0)), fits(16), "{count} of {vocab_size}");
                assert_eq!(ids(cache.get_long(long, 0)), fits(32), "{count} of {vocab_size}");
            }
        }
    }
}
