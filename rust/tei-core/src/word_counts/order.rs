//! Words into an order that depends on nothing but them.
use std::cmp::Ordering;
use std::convert::Infallible;

use super::WordCounts;
use crate::huge::{Huge, Zero};
use crate::packed::{MAX_PACKED, PackedWord};
use crate::short_counts::ShortCounts;

/// Distinct words with their counts, not in order yet.
pub(crate) struct Unordered<'w> {
    words: &'w WordCounts,
    entries: Huge<Entry>,
}

/// A word: most are told apart by what is at hand here.
#[derive(Clone, Copy, Debug)]
struct Entry {
    count: u64,
    /// As [`PackedWord::order`]; of a longer word its first bytes, and behind them what is no length of a short one.
    order: [u64; 2],
    /// Which one it is, if it is longer.
    number: u32,
}

// SAFETY: of integers only.
unsafe impl Zero for Entry {}

impl<'w> Unordered<'w> {
    /// The words of `words`, and those of `others`.
    pub fn new(words: &'w WordCounts, others: Option<&ShortCounts>) -> Self {
        let entry = |count, order: u128, number| Entry { count, order: [(order >> 64) as u64, order as u64], number };
        let of_bytes = |(number, &count)| entry(count, order(words.bytes(number as usize)), number);
        let long = (0..).zip(&words.counts).map(of_bytes);
        let short = others.into_iter().flat_map(ShortCounts::iter).map(|(word, count)| entry(count, word.order(), 0));
        let mut entries = Huge::zeros(words.len() + others.map_or(0, ShortCounts::len));
        entries.iter_mut().zip(long.chain(short)).for_each(|(at, entry)| *at = entry);
        Self { words, entries }
    }

    /// In the order of falling counts, then of bytes.
    pub fn by_count(mut self) -> WordCounts {
        let words = self.words;
        // As one number, which is compared without a branch that nobody could predict.
        let first = |entry: &Entry| u128::from(!entry.count) << 64 | u128::from(entry.order[0]);
        self.entries.sort_unstable_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.by_bytes(b, words)));
        let (mut sorted, mut size) = (WordCounts::default(), 0);
        self.each(|word, _| size += word.len());
        // Just what is needed: growing would be most of all memory that is in use at the end of counting.
        sorted.bytes.reserve_exact(size + MAX_PACKED + 1);
        sorted.ends.reserve_exact(self.entries.len());
        sorted.counts.reserve_exact(self.entries.len());
        for entry in &*self.entries {
            match entry.short() {
                Some((block, len)) => sorted.push_short(block, len, entry.count),
                None => sorted.push(words.bytes(entry.number as usize), entry.count),
            }
        }
        sorted
    }

    /// In the order of bytes.
    pub fn by_bytes(mut self) -> Self {
        let words = self.words;
        self.entries.sort_unstable_by(|a, b| a.by_bytes(b, words));
        self
    }

    /// Calls `visit` with each word and its count.
    fn each(&self, mut visit: impl FnMut(&[u8], u64)) {
        let Ok(()) = self.try_each(|word, count| {
            visit(word, count);
            Ok::<(), Infallible>(())
        });
    }

    /// The same, up to an error.
    pub fn try_each<E>(&self, mut visit: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        self.entries.iter().try_for_each(|entry| match entry.short() {
            Some((block, len)) => visit(&block[..len], entry.count),
            None => visit(self.words.bytes(entry.number as usize), entry.count),
        })
    }
}

impl Entry {
    /// The bytes of a word that packs, and how many they are.
    #[inline]
    fn short(&self) -> Option<([u8; 16], usize)> {
        let (order, len) = (u128::from(self.order[0]) << 64 | u128::from(self.order[1]), self.order[1] as u8);
        (usize::from(len) <= MAX_PACKED).then_some((order.to_be_bytes(), len.into()))
    }

    #[inline]
    fn by_bytes(&self, other: &Self, words: &WordCounts) -> Ordering {
        let bytes = |entry: &Self| words.bytes(entry.number as usize);
        // Only of two longer words the order may be the same.
        self.order.cmp(&other.order).then_with(|| bytes(self).cmp(bytes(other)))
    }
}

fn order(word: &[u8]) -> u128 {
    PackedWord::new(word).map_or_else(|| cut(word), PackedWord::order)
}

/// The first bytes of a longer word.
fn cut(word: &[u8]) -> u128 {
    let first = word.first_chunk::<16>().map_or(0, |first| u128::from_be_bytes(*first));
    first & !0xFF | (MAX_PACKED as u128 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::word_counts::Counter;

    proptest! {
        #[test]
        fn orders_as_bytes_do(words in proptest::collection::btree_map("[\\u{0}ab]{1,6}|[ab]{14,17}|x{12}.{0,9}", (1..4_u32, any::<bool>()), 0..60)) {
            let (mut counter, mut others) = (Counter::default(), ShortCounts::default());
            for (word, &(count, other)) in &words {
                match PackedWord::new(word.as_bytes()).filter(|_| other) {
                    Some(packed) => others.insert(packed, count.into()),
                    None => counter.add(word.as_bytes(), count.into()),
                }
            }
            let mut by_bytes = Vec::new();
            let text = |word: &[u8]| String::from_utf8(word.to_vec()).expect("UTF-8");
            counter.unordered(Some(&others)).by_bytes().each(|word, count| by_bytes.push((text(word), count)));
            let mut expected: Vec<_> = words.iter().map(|(word, &(count, _))| (word.clone(), u64::from(count))).collect();
            prop_assert_eq!(&by_bytes, &expected);
            expected.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let by_count = counter.unordered(Some(&others)).by_count();
            prop_assert_eq!(by_count.iter().map(|(word, count)| (word.to_owned(), count)).collect::<Vec<_>>(), expected);
        }
    }
}
