//! Words as symbols, and how often each pair of adjacent symbols occurs in them: what merges are chosen from.
//!
//! Every merge makes a new symbol. So a pair can appear only while the newer of its two symbols is made, and from then
//! on its occurrences only disappear: the words of a pair are all known when it is made, and its count never rises. A pair
//! that is too rare to be merged then stays so, and only its place is marked: that halves the memory of training.
use std::collections::HashMap;

/// Number of a symbol: a character in a position class, or the result of a merge.
pub type Symbol = u32;
/// Number of a pair; pairs are numbered in the order in which they appear.
pub type PairId = u32;

/// A word never has this number; marks a pair that no word has been noted for.
const NO_WORD: u32 = u32::MAX;
/// Any pair that is never merged.
const RARE: PairId = PairId::MAX;

/// Pairs of adjacent symbols with their counts, and the words they occur in.
#[derive(Debug, Default)]
struct Pairs {
    symbols: Vec<(Symbol, Symbol)>,
    counts: Vec<u64>,
    /// Where a pair's words are in `words`: start and length.
    postings: Vec<(usize, u32)>,
    words: Vec<u32>,
}

impl Pairs {
    fn push(&mut self, left: Symbol, right: Symbol) -> PairId {
        self.symbols.push((left, right));
        self.counts.push(0);
        self.postings.push((0, 0));
        (self.symbols.len() - 1) as PairId
    }

    /// Gives up the pairs from `first` on that are rarer than `min_count`; writes the new number of each into `numbers`.
    fn drop_rare(&mut self, first: usize, min_count: u64, numbers: &mut Vec<PairId>) {
        let mut kept = first;
        numbers.clear();
        for pair in first..self.counts.len() {
            let frequent = self.counts[pair] >= min_count;
            numbers.push(if frequent { kept as PairId } else { RARE });
            if frequent {
                (self.symbols[kept], self.counts[kept]) = (self.symbols[pair], self.counts[pair]);
                self.postings[kept] = self.postings[pair];
                kept += 1;
            }
        }
        self.symbols.truncate(kept);
        self.counts.truncate(kept);
        self.postings.truncate(kept);
    }

    /// Makes room for the words of the pairs from `first` on, whose number is noted in their postings.
    fn make_room(&mut self, first: usize) {
        let mut end = self.words.len();
        for posting in &mut self.postings[first..] {
            posting.0 = end;
            end += posting.1 as usize;
            posting.1 = 0;
        }
        if first == 0 {
            self.words.reserve_exact(end);
        }
        self.words.resize(end, 0);
    }

    /// Files a word of a pair that has room; words come in order, so one that has a pair twice is its last.
    fn file(&mut self, pair: PairId, word: u32) {
        let (start, len) = &mut self.postings[pair as usize];
        let end = *start + *len as usize;
        if *len == 0 || self.words[end - 1] != word {
            self.words[end] = word;
            *len += 1;
        }
    }
}

/// Distinct words, spelled with symbols, and their pairs.
#[derive(Debug, Default)]
pub struct PairCounts {
    /// The symbols of all words; a word's own never move, they only get fewer.
    symbols: Vec<Symbol>,
    /// `joints[i]` is the pair of `symbols[i]` and its successor in the word.
    joints: Vec<PairId>,
    starts: Vec<usize>,
    lens: Vec<u32>,
    counts: Vec<u64>,
    pairs: Pairs,
    min_count: u64,
    /// For each symbol the latest pair with the newest symbol after it, and before it.
    before_new: Vec<PairId>,
    after_new: Vec<PairId>,
    /// Pairs made so far, the rare ones too: entries from before a merge are below what this was at its beginning.
    made: PairId,
    /// The latest word noted for each pair of the current merge.
    latest: Vec<u32>,
    /// New numbers of the pairs of the current merge.
    numbers: Vec<PairId>,
    /// Words that the current merge changed.
    changed: Vec<u32>,
}

impl PairCounts {
    /// No words yet; pairs that occur fewer than `min_count` times will not be merged.
    #[must_use]
    pub fn new(min_count: u64) -> Self {
        Self { min_count, ..Self::default() }
    }

    /// Adds a word; call [`PairCounts::count`] after the last one.
    pub fn push(&mut self, word: impl IntoIterator<Item = Symbol>, count: u64) {
        let start = self.symbols.len();
        self.symbols.extend(word);
        self.starts.push(start);
        self.lens.push((self.symbols.len() - start) as u32);
        self.counts.push(count);
    }

    /// Counts the pairs of all words, which use symbols below `symbol_count`.
    pub fn count(&mut self, symbol_count: usize) {
        self.before_new = vec![0; symbol_count];
        self.after_new = vec![0; symbol_count];
        self.made = 1;
        self.joints = vec![0; self.symbols.len()];
        let mut ids: HashMap<(Symbol, Symbol), PairId, _> = HashMap::with_hasher(rapidhash::fast::RandomState::new());
        for word in 0..self.counts.len() {
            let (start, len) = (self.starts[word], self.lens[word] as usize);
            for i in start + 1..start + len {
                let (left, right) = (self.symbols[i - 1], self.symbols[i]);
                self.joints[i - 1] = *ids.entry((left, right)).or_insert_with(|| self.pairs.push(left, right));
            }
            self.latest.resize(self.pairs.symbols.len(), NO_WORD);
            self.add(word as u32, 0);
        }
        drop(ids);
        self.settle(0, 0..self.counts.len() as u32);
    }

    /// Forgets new pairs that are rare, and files the words of the others.
    fn settle(&mut self, first: usize, words: impl Iterator<Item = u32>) {
        self.pairs.drop_rare(first, self.min_count, &mut self.numbers);
        self.pairs.make_room(first);
        for word in words {
            let (start, len) = (self.starts[word as usize], self.lens[word as usize] as usize);
            for joint in &mut self.joints[start..start + len.max(1) - 1] {
                let Some(new) = (*joint as usize).checked_sub(first) else { continue };
                *joint = self.numbers.get(new).copied().unwrap_or(RARE);
                if *joint != RARE {
                    self.pairs.file(*joint, word);
                }
            }
        }
    }

    /// The pairs from `first` on that are frequent enough to be merged.
    pub fn frequent(&self, first: usize) -> impl Iterator<Item = PairId> {
        (first..self.pair_count()).filter(|&pair| self.pairs.counts[pair] >= self.min_count).map(|pair| pair as PairId)
    }

    /// Number of pairs made so far.
    #[must_use]
    pub fn pair_count(&self) -> usize {
        self.pairs.symbols.len()
    }

    /// How often a pair occurs; in a run of equal symbols, how often it can be merged.
    #[must_use]
    pub fn pair_total(&self, pair: PairId) -> u64 {
        self.pairs.counts[pair as usize]
    }

    /// The symbols of a pair.
    #[must_use]
    pub fn pair_symbols(&self, pair: PairId) -> (Symbol, Symbol) {
        self.pairs.symbols[pair as usize]
    }

    /// Replaces a pair by a new symbol wherever it occurs, from left to right; returns the symbol.
    pub fn merge(&mut self, pair: PairId) -> Symbol {
        let new = self.before_new.len() as Symbol;
        self.before_new.push(0);
        self.after_new.push(0);
        self.latest.clear();
        let first = self.pair_count();
        let (start, len) = self.pairs.postings[pair as usize];
        let mut changed = std::mem::take(&mut self.changed);
        changed.clear();
        changed.extend_from_slice(&self.pairs.words[start..start + len as usize]);
        changed.retain(|&word| {
            let (start, len) = (self.starts[word as usize], self.lens[word as usize] as usize);
            let occurs = self.joints[start..start + len - 1].contains(&pair);
            if occurs {
                self.subtract(word);
                self.rewrite(word, pair, new, first);
                self.add(word, first);
            }
            occurs
        });
        debug_assert_eq!(self.pair_total(pair), 0, "a merged pair is gone");
        self.made += (self.pair_count() - first) as PairId;
        self.settle(first, changed.iter().copied());
        self.changed = changed;
        new
    }

    fn rewrite(&mut self, word: u32, pair: PairId, new: Symbol, first: usize) {
        let (start, len) = (self.starts[word as usize], self.lens[word as usize] as usize);
        let last = start + len - 1;
        let (mut read, mut write) = (start, start);
        while read <= last {
            let merged = read < last && self.joints[read] == pair;
            let symbol = if merged { new } else { self.symbols[read] };
            if write > start {
                let left = self.symbols[write - 1];
                // Next to the new symbol the pair is new; elsewhere the old one moves along.
                self.joints[write - 1] =
                    if merged || left == new { self.new_pair(left, symbol, new, first) } else { self.joints[read - 1] };
            }
            self.symbols[write] = symbol;
            write += 1;
            read += 1 + usize::from(merged);
        }
        self.lens[word as usize] = (write - start) as u32;
    }

    /// The pair of two symbols, one of which is `new`, with a number from `first` on.
    fn new_pair(&mut self, left: Symbol, right: Symbol, new: Symbol, first: usize) -> PairId {
        let entry =
            if right == new { &mut self.before_new[left as usize] } else { &mut self.after_new[right as usize] };
        if *entry < self.made {
            *entry = self.made + (self.pairs.push(left, right) - first as PairId);
            self.latest.push(NO_WORD);
        }
        *entry - self.made + first as PairId
    }

    fn subtract(&mut self, word: u32) {
        let (start, len) = (self.starts[word as usize], self.lens[word as usize] as usize);
        let (count, totals) = (self.counts[word as usize], &mut self.pairs.counts);
        mergeable(&self.joints[start..start + len - 1], |pair| {
            totals[pair as usize] -= count;
        });
    }

    /// Adds a word's pairs to the counts, and notes in how many words those from `first` on are.
    fn add(&mut self, word: u32, first: usize) {
        let (start, len) = (self.starts[word as usize], self.lens[word as usize] as usize);
        let (count, pairs) = (self.counts[word as usize], &mut self.pairs);
        mergeable(&self.joints[start..start + len.max(1) - 1], |pair| {
            pairs.counts[pair as usize] += count;
            let latest = (pair as usize).checked_sub(first).map(|new| &mut self.latest[new]);
            if let Some(latest) = latest.filter(|latest| **latest != word) {
                *latest = word;
                pairs.postings[pair as usize].1 += 1;
            }
        });
    }
}

/// Calls `f` with each pair of a word that may be merged; in a run of equal symbols only every second pair can be merged.
#[inline]
fn mergeable(joints: &[PairId], mut f: impl FnMut(PairId)) {
    let mut overlaps = false;
    for (i, &pair) in joints.iter().enumerate() {
        overlaps = !overlaps && i > 0 && joints[i - 1] == pair;
        if !overlaps && pair != RARE {
            f(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(words: &[(&[Symbol], u64)]) -> PairCounts {
        let mut counts = PairCounts::new(1);
        words.iter().for_each(|(word, count)| counts.push(word.iter().copied(), *count));
        counts.count(10);
        counts
    }

    fn totals(counts: &PairCounts) -> Vec<((Symbol, Symbol), u64)> {
        counts.frequent(0).map(|pair| (counts.pair_symbols(pair), counts.pair_total(pair))).collect()
    }

    #[test]
    fn runs_count_what_can_be_merged() {
        assert_eq!(totals(&counted(&[(&[1, 1, 1, 1, 1], 3)])), [((1, 1), 6)]);
        assert_eq!(totals(&counted(&[(&[1], 3)])), []);
    }

    #[test]
    fn merges_from_left_to_right_and_counts_new_pairs() {
        let mut counts = counted(&[(&[1, 2, 1, 2, 3], 2), (&[3, 1, 2], 5)]);
        assert_eq!(totals(&counts), [((1, 2), 9), ((2, 1), 2), ((2, 3), 2), ((3, 1), 5)]);
        assert_eq!(counts.merge(0), 10);
        assert_eq!(totals(&counts), [((10, 10), 2), ((10, 3), 2), ((3, 10), 5)]);
        let mut run = counted(&[(&[1, 1, 1], 1)]);
        run.merge(0);
        assert_eq!(totals(&run), [((10, 1), 1)]);
    }

    #[test]
    fn rare_new_pairs_keep_no_words() {
        let mut counts = PairCounts::new(3);
        counts.push([1, 2, 3], 2);
        counts.push([1, 2], 2);
        counts.count(4);
        counts.merge(0);
        assert_eq!(counts.frequent(0).count(), 0);
    }
}
