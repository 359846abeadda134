//! How often each word occurs: the input of training, usage and plans.
mod bytes;
mod order;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::Result;
use crate::short_counts::ShortCounts;
pub(crate) use order::Unordered;

/// Distinct words with their counts, ordered by falling count, then by bytes; immutable.
///
/// The order, and so everything made from it, is independent of the order of texts, of threads and of hash seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    counts: Vec<u64>,
}

impl WordCounts {
    /// Counts from pairs; equal words are added up, zero counts are left out.
    pub fn from_pairs<W: AsRef<str>>(pairs: impl IntoIterator<Item = (W, u64)>) -> Self {
        let mut counter = Counter::default();
        for (word, count) in pairs.into_iter().filter(|(word, count)| *count > 0 && !word.as_ref().is_empty()) {
            counter.add(word.as_ref().as_bytes(), count);
        }
        counter.finish()
    }

    /// Counts of distinct words, which `words` pushes in the order of their bytes.
    pub(crate) fn from_sorted(words: impl FnOnce(&mut dyn FnMut(&[u8], u64)) -> Result<()>) -> Result<Self> {
        let mut counts = Self::default();
        words(&mut |word, count| counts.push(word, count))?;
        Ok(counts.ordered())
    }

    /// Number of distinct words.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The bytes of the `i`-th word, which are UTF-8.
    ///
    /// # Panics
    /// If `i` is not below [`WordCounts::len`].
    #[must_use]
    pub fn bytes(&self, i: usize) -> &[u8] {
        &self.bytes[self.start(i)..self.ends[i]]
    }

    /// The `i`-th word.
    ///
    /// # Panics
    /// If `i` is not below [`WordCounts::len`].
    #[must_use]
    pub fn word(&self, i: usize) -> &str {
        std::str::from_utf8(self.bytes(i)).unwrap_or_default()
    }

    /// The count of the `i`-th word.
    ///
    /// # Panics
    /// If `i` is not below [`WordCounts::len`].
    #[must_use]
    pub fn count(&self, i: usize) -> u64 {
        self.counts[i]
    }

    /// Words with their counts, most frequent first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> + Clone {
        (0..self.len()).map(|i| (self.word(i), self.count(i)))
    }

    /// Sum of all counts, at most [`u64::MAX`].
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// All words one after the other.
    pub(crate) fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in [`WordCounts::text`] the `i`-th word begins.
    pub(crate) fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] }
    }

    /// Adds a word at the end, out of order.
    fn push(&mut self, word: &[u8], count: u64) {
        self.bytes.extend_from_slice(word);
        self.ends.push(self.bytes.len());
        self.counts.push(count);
    }

    /// Adds the word of the first `len` bytes of a block, without the call that copying a number of them takes.
    #[inline]
    fn push_short(&mut self, block: [u8; 16], len: usize, count: u64) {
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(&block);
        self.bytes.truncate(end);
        self.ends.push(end);
        self.counts.push(count);
    }

    /// Adds occurrences of the word of a number; a count stays at [`u64::MAX`] once it is there.
    #[inline]
    pub(crate) fn add_at(&mut self, number: u32, count: u64) {
        if let Some(sum) = self.counts.get_mut(number as usize) {
            *sum = sum.saturating_add(count);
        }
    }

    /// The same words in the stated order.
    pub(crate) fn ordered(&self) -> Self {
        Unordered::new(self, None).by_count()
    }

    /// The sum of two counts.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        Self::from_pairs(self.iter().chain(other.iter()))
    }

    /// Every count times `factor`, rounded to the nearest integer; words that round to zero are left out.
    #[must_use]
    #[expect(clippy::cast_sign_loss, reason = "the factor is not negative")]
    pub fn decayed(&self, factor: f64) -> Self {
        Self::from_pairs(self.iter().map(|(word, count)| (word, (count as f64 * factor.max(0.0)).round() as u64)))
    }
}

/// Numbers of words, by what they spell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index(HashTable<u32>);

impl Index {
    /// An index of words that are all different.
    pub fn of(words: &WordCounts) -> Self {
        let mut index = HashTable::with_capacity(words.len());
        for i in 0..words.len() as u32 {
            index.insert_unique(hash(words.bytes(i as usize)), i, |&i| hash(words.bytes(i as usize)));
        }
        Self(index)
    }

    /// The number of a word; one not seen before gets the next number, and count zero.
    pub fn number(&mut self, words: &mut WordCounts, word: &[u8]) -> u32 {
        let bytes = |&i: &u32| words.bytes(i as usize);
        match self.0.entry(hash(word), |i| bytes(i) == word, |i| hash(bytes(i))) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(free) => {
                let number = words.len() as u32;
                free.insert(number);
                words.push(word, 0);
                number
            }
        }
    }
}

/// Counts while they are collected.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    /// In the order in which they came.
    words: WordCounts,
    index: Index,
}

/// A hash that nobody can know before.
pub(crate) fn hash(word: &[u8]) -> u64 {
    static SECRETS: std::sync::LazyLock<RapidSecrets> = std::sync::LazyLock::new(|| RapidSecrets::seed(crate::seed()));
    rapidhash_v3_seeded(word, &SECRETS)
}

impl Counter {
    /// Adds `count` occurrences of a word; a count stays at [`u64::MAX`] once it is there.
    pub fn add(&mut self, word: &[u8], count: u64) {
        let number = self.index.number(&mut self.words, word);
        self.words.add_at(number, count);
    }

    /// Adds all that another counter holds.
    pub fn absorb(&mut self, other: &Self) {
        for i in 0..other.words.len() {
            self.add(other.words.bytes(i), other.words.count(i));
        }
    }

    /// Bytes of memory it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        let WordCounts { bytes, ends, counts } = &self.words;
        bytes.capacity() + 8 * (ends.capacity() + counts.capacity()) + self.index.0.allocation_size()
    }

    /// The words, and others that are not among them, on their way into an order.
    pub(crate) fn unordered(&self, others: Option<&ShortCounts>) -> Unordered<'_> {
        Unordered::new(&self.words, others)
    }

    /// The counts in their final order.
    #[must_use]
    pub fn finish(self) -> WordCounts {
        self.words.ordered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_count_then_bytes() {
        let counts = WordCounts::from_pairs([("b", 1), ("a", 1), ("c", 2), ("a", 0), ("c", 3)]);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("c", 5), ("a", 1), ("b", 1)]);
        assert_eq!(counts.total(), 7);
    }

    #[test]
    fn adds_and_decays() {
        let counts = WordCounts::from_pairs([("a", 3), ("b", 1)]);
        assert_eq!(counts.merged(&counts), WordCounts::from_pairs([("a", 6), ("b", 2)]));
        assert_eq!(counts.decayed(0.4), WordCounts::from_pairs([("a", 1)]));
    }
}
