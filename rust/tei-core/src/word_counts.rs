//! How often each word occurs: the input of training, usage and plans.
mod bytes;

use std::cmp::Reverse;

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::Result;

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
        let mut counter = Counter::default();
        words(&mut |word, count| {
            counter.bytes.extend_from_slice(word);
            counter.ends.push(counter.bytes.len());
            counter.counts.push(count);
        })?;
        Ok(counter.finish())
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
        slice(&self.bytes, &self.ends, i)
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

/// Counts while they are collected.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    counts: Vec<u64>,
    index: HashTable<u32>,
}

fn hash(word: &[u8]) -> u64 {
    static SECRETS: std::sync::LazyLock<RapidSecrets> = std::sync::LazyLock::new(|| RapidSecrets::seed(crate::seed()));
    rapidhash_v3_seeded(word, &SECRETS)
}

impl Counter {
    /// Adds `count` occurrences of a word, whose number it returns; a count stays at [`u64::MAX`] once it is there.
    pub fn add(&mut self, word: &[u8], count: u64) -> u32 {
        let Self { bytes, ends, counts, index } = self;
        let entry = index.entry(
            hash(word),
            |&i| slice(bytes, ends, i as usize) == word,
            |&i| hash(slice(bytes, ends, i as usize)),
        );
        let number = match entry {
            hashbrown::hash_table::Entry::Occupied(found) => *found.get(),
            hashbrown::hash_table::Entry::Vacant(free) => {
                let number = counts.len() as u32;
                free.insert(number);
                bytes.extend_from_slice(word);
                ends.push(bytes.len());
                counts.push(0);
                number
            }
        };
        self.add_at(number, count);
        number
    }

    /// Adds occurrences of the word of a number.
    #[inline]
    pub(crate) fn add_at(&mut self, number: u32, count: u64) {
        if let Some(sum) = self.counts.get_mut(number as usize) {
            *sum = sum.saturating_add(count);
        }
    }

    /// Adds all that another counter holds.
    pub fn absorb(&mut self, other: &Self) {
        for i in 0..other.counts.len() {
            self.add(slice(&other.bytes, &other.ends, i), other.counts[i]);
        }
    }

    /// Bytes of memory it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + 8 * (self.ends.capacity() + self.counts.capacity()) + self.index.allocation_size()
    }

    /// All words with their counts, in the order of bytes.
    pub(crate) fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut words: Vec<_> =
            (0..self.counts.len()).map(|i| (slice(&self.bytes, &self.ends, i), self.counts[i])).collect();
        words.sort_unstable();
        words
    }

    /// The counts in their final order.
    #[must_use]
    pub fn finish(self) -> WordCounts {
        let word = |i: u32| slice(&self.bytes, &self.ends, i as usize);
        // Most words differ in their first bytes, which are at hand here.
        let mut order: Vec<_> = (0..).zip(&self.counts).map(|(i, &n)| (Reverse(n), first_bytes(word(i)), i)).collect();
        order.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| word(a.2).cmp(word(b.2))));
        let mut sorted = WordCounts { counts: order.iter().map(|entry| entry.0.0).collect(), ..WordCounts::default() };
        for (.., i) in order {
            sorted.bytes.extend_from_slice(word(i));
            sorted.ends.push(sorted.bytes.len());
        }
        sorted
    }
}

/// The first eight bytes, zeros behind the end, as a number that orders as they do.
fn first_bytes(word: &[u8]) -> u64 {
    let mut first = [0; 8];
    let len = word.len().min(8);
    first[..len].copy_from_slice(&word[..len]);
    u64::from_be_bytes(first)
}

fn slice<'b>(bytes: &'b [u8], ends: &[usize], i: usize) -> &'b [u8] {
    let start = if i == 0 { 0 } else { ends[i - 1] };
    &bytes[start..ends[i]]
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
