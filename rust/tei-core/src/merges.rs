//! Merges in their order: always the most frequent pair, as in byte pair encoding (Sennrich et al., 2016).
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::pair_counts::{PairCounts, PairId, Symbol};

/// A pair of symbols that became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The left symbol.
    pub left: Symbol,
    /// The right symbol.
    pub right: Symbol,
    /// The symbol they became: one more than the newest before.
    pub new: Symbol,
    /// How often they were merged.
    pub count: u64,
}

/// A pair in the queue, with a count that was true when it was queued; the greatest is merged next.
type Candidate = (u64, Reverse<(Symbol, Symbol)>, PairId);

/// Makes merges while it is iterated: by falling count, among equal counts by the lowest left, then right symbol.
///
/// A popped pair whose queued count is still its count is the most frequent one, because counts never rise.
#[derive(Debug)]
pub struct Merges {
    counts: PairCounts,
    min_count: u64,
    queue: BinaryHeap<Candidate>,
    /// Bytes of each symbol.
    sizes: Vec<u32>,
    max_bytes: usize,
}

impl Merges {
    /// Merges over counted words; pairs that occur fewer than `min_count` times are left alone.
    #[must_use]
    pub fn new(counts: PairCounts, min_count: u64) -> Self {
        let queue = counts.frequent(0).map(|pair| candidate(&counts, pair)).collect();
        Self { counts, min_count: min_count.max(1), queue, sizes: Vec::new(), max_bytes: usize::MAX }
    }

    /// The same without merges that make a symbol of more than `max_bytes` bytes; `sizes` are those of the first symbols.
    #[must_use]
    pub fn limited(self, sizes: Vec<u32>, max_bytes: usize) -> Self {
        Self { sizes, max_bytes, ..self }
    }

    /// Bytes of what two symbols would become; 0 if sizes do not matter.
    fn size(&self, left: Symbol, right: Symbol) -> usize {
        let size = |symbol: Symbol| self.sizes.get(symbol as usize).map_or(0, |&size| size as usize);
        size(left) + size(right)
    }
}

fn candidate(counts: &PairCounts, pair: PairId) -> Candidate {
    (counts.pair_total(pair), Reverse(counts.pair_symbols(pair)), pair)
}

impl Iterator for Merges {
    type Item = Merge;

    fn next(&mut self) -> Option<Merge> {
        loop {
            let (queued, Reverse((left, right)), pair) = self.queue.pop()?;
            let count = self.counts.pair_total(pair);
            let size = self.size(left, right);
            if size > self.max_bytes {
                continue;
            }
            if count == queued {
                self.sizes.push(size as u32);
                let first = self.counts.pair_count();
                let new = self.counts.merge(pair);
                self.queue.extend(self.counts.frequent(first).map(|pair| candidate(&self.counts, pair)));
                return Some(Merge { left, right, new, count });
            }
            if count >= self.min_count {
                self.queue.push((count, Reverse((left, right)), pair));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow twin: counts all pairs anew before each merge.
    fn slow(mut words: Vec<(Vec<Symbol>, u64)>, mut new: Symbol, min_count: u64) -> Vec<Merge> {
        let mut merges = Vec::new();
        loop {
            let mut totals = std::collections::BTreeMap::new();
            for (word, count) in &words {
                let mut free = 0;
                for i in 1..word.len() {
                    let pair = (word[i - 1], word[i]);
                    if pair.0 == pair.1 && i <= free {
                        continue;
                    }
                    free = if pair.0 == pair.1 { i + 1 } else { 0 };
                    *totals.entry(pair).or_insert(0) += count;
                }
            }
            let best = totals.iter().map(|(&pair, &count)| (count, Reverse(pair))).max();
            let Some((count, Reverse((left, right)))) = best.filter(|best| best.0 >= min_count) else {
                return merges;
            };
            for (word, _) in &mut words {
                let mut i = 0;
                while i + 1 < word.len() {
                    if (word[i], word[i + 1]) == (left, right) {
                        word.splice(i..i + 2, [new]);
                    }
                    i += 1;
                }
            }
            merges.push(Merge { left, right, new, count });
            new += 1;
        }
    }

    proptest! {
        #[test]
        fn equals_counting_anew(
            words in proptest::collection::vec((proptest::collection::vec(0..4_u32, 1..12), 1..5_u64), 0..12),
            min_count in 1..4_u64,
        ) {
            let mut counts = PairCounts::new(min_count);
            words.iter().for_each(|(word, count)| counts.push(word.iter().copied(), *count));
            counts.count(4);
            prop_assert_eq!(Merges::new(counts, min_count).collect::<Vec<_>>(), slow(words, 4, min_count));
        }
    }
}
