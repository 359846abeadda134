//! Counts words while they are found: short ones in a table of their own, and on disk what memory is not to hold.
use crate::Result;
use crate::encoder::Encoder;
use crate::feed::fold_units;
use crate::machine::{Baseline, Machine};
use crate::packed::PackedWord;
use crate::parallel::prefetched;
use crate::runs::Runs;
use crate::scanner::{Found, Words};
use crate::short_counts::{Place, ShortCounts};
use crate::word_counts::{Counter, Unordered, WordCounts};

/// So many words wait until their memory has come.
///
/// Looking for 128 together, and then counting them together, takes 4 % longer: memory is asked for in bursts then.
const WAITING: usize = 64;
/// Counts of a word of one byte.
const LANES: usize = 4;
/// Tables double, old and new exist side by side, and sorting needs room: so much less may be in use than is allowed.
const HEADROOM: usize = 4;

/// Word counts that grow.
#[derive(Debug, Default)]
pub struct Tally {
    /// One for each thread that has counted, each with words of its own.
    parts: Vec<Part>,
    /// Bytes that the counts may take in memory.
    limit: Option<usize>,
    runs: Runs,
}

/// What one thread counts.
#[derive(Debug)]
struct Part {
    /// Words of one byte, which two of five in technical text are, each in lanes: a count that is added to right after
    /// itself waits.
    singles: [[u64; LANES]; 128],
    short: ShortCounts,
    /// Short words that are not counted yet, each with its place; an entry that holds none has [`PackedWord::NONE`].
    waiting: [(PackedWord, Place); WAITING],
    long: Counter,
}

impl Default for Part {
    fn default() -> Self {
        let (singles, waiting) = ([[0; LANES]; 128], [(PackedWord::NONE, Place::default()); WAITING]);
        Self { singles, short: ShortCounts::default(), waiting, long: Counter::default() }
    }
}

impl Tally {
    /// Nothing counted; what takes more than `limit` bytes goes to temporary files.
    #[must_use]
    pub fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Counts the words of texts as `encoder` sees them; `threads` as in [`crate::parallel`].
    ///
    /// # Errors
    /// [`crate::Error::NoSpill`] if a temporary file cannot be written.
    pub fn count(&mut self, encoder: &Encoder, texts: &[&str], threads: usize) -> Result<()> {
        // Each thread goes on with what it has: joining what comes of each piece of text took longer than counting it.
        fold_units(texts, threads, &mut self.parts, |part, texts| {
            encoder.with_worker(|worker| encoder.visit_words(prefetched(texts), worker, part));
        });
        let bytes: usize = self.parts.iter().map(Part::needed_bytes).sum();
        if self.limit.is_some_and(|limit| bytes > limit / HEADROOM) { self.spill() } else { Ok(()) }
    }

    /// The counts in their final order.
    ///
    /// # Errors
    /// [`crate::Error::NoSpill`] if a temporary file cannot be written or read.
    pub fn finish(mut self) -> Result<WordCounts> {
        if self.runs.is_empty() {
            return self.joined().into_order(|words| Ok(words.by_count()));
        }
        self.spill()?;
        WordCounts::from_sorted(|push| self.runs.merge(push))
    }

    fn spill(&mut self) -> Result<()> {
        let joined = self.joined();
        self.runs.write(|push| joined.into_order(|words| words.by_bytes().try_each(push)))
    }

    /// What all threads have counted, which they forget.
    fn joined(&mut self) -> Part {
        let mut parts = std::mem::take(&mut self.parts).into_iter().map(Part::settled);
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            all.short.absorb(&part.short);
            all.long.absorb(&part.long);
        }
        all
    }
}

impl Part {
    /// With all short words counted in one table.
    fn settled(mut self) -> Self {
        self.count_waiting();
        for (byte, lanes) in (0..).zip(std::mem::replace(&mut self.singles, [[0; LANES]; 128])) {
            if let Some(word) = PackedWord::new(&[byte]) {
                self.short.insert(word, lanes.iter().sum());
            }
        }
        self
    }

    fn needed_bytes(&self) -> usize {
        size_of::<Self>() + self.short.needed_bytes() + self.long.heap_bytes()
    }

    /// What `order` makes of all words; the table of short ones is gone before it needs memory.
    fn into_order<R>(self, order: impl FnOnce(Unordered<'_>) -> R) -> R {
        let Self { short, long, .. } = self;
        let words = long.unordered(Some(&short));
        drop(short);
        order(words)
    }

    #[inline(always)]
    fn count_all(&mut self, found: Found<'_>) {
        found.each_single::<LANES>(|byte, lane| self.singles[usize::from(byte) % 128][lane] += 1);
        self.make_room(found.len());
        let Self { short, waiting, long, .. } = self;
        for found in found.parts(WAITING) {
            for (i, waiting) in (0..found.len()).zip(&mut *waiting) {
                if let Some(word) = found.packed(i) {
                    let (word, place) = std::mem::replace(waiting, (word, short.prefetch(word)));
                    count(short, word, place);
                } else {
                    count_long(long, found.bytes(i));
                }
            }
        }
    }

    /// Makes room for so many short words.
    #[inline(always)]
    fn make_room(&mut self, words: usize) {
        if self.short.is_full_for(words + WAITING) {
            self.count_waiting();
            self.short.reserve(words + WAITING);
        }
    }

    #[cold]
    #[inline(never)]
    fn count_waiting(&mut self) {
        for (word, place) in &mut self.waiting {
            count(&mut self.short, std::mem::replace(word, PackedWord::NONE), *place);
        }
    }
}

#[inline(always)]
fn count(short: &mut ShortCounts, word: PackedWord, place: Place) {
    if !short.count(word, place) {
        count_slowly(short, word, place);
    }
}

#[inline(never)]
fn count_slowly(short: &mut ShortCounts, word: PackedWord, place: Place) {
    if word != PackedWord::NONE {
        short.count_slowly(word, place);
    }
}

#[inline(never)]
fn count_long(long: &mut Counter, word: &[u8]) {
    if !word.is_empty() {
        long.add(word, 1);
    }
}

impl Words for Part {
    const APART: bool = true;

    fn take(&mut self, found: Found<'_>) {
        self.take_on::<Baseline>(found);
    }

    #[inline(always)]
    fn take_on<M: Machine>(&mut self, found: Found<'_>) {
        M::apart(|| self.count_all(found));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::normalizer::Normalizer;
    use crate::rules::Rules;
    use crate::splits::Splitter;
    use crate::steps::Step;
    use crate::vocabulary::Vocabulary;

    fn encoder() -> Encoder {
        let normalizer = Normalizer { clean_text: true, split_ideographs: true, strip_accents: true, lowercase: true };
        let vocabulary = Vocabulary::new(["[UNK]".to_owned()], "##", "[UNK]").expect("one token");
        Encoder::new(vocabulary, Rules::new(vec![Step::Bert(normalizer)], Splitter::bert()), vec![], 100)
            .expect("tokens suit the rules")
    }

    proptest! {
        #[test]
        fn equals_counting_one_by_one_while_the_table_grows(start in any::<u32>(), distinct in 1..20_000_u32, calls in 1..4_usize) {
            // Digits of powers: words of 1 to 20 bytes, of which some come again and again.
            let word = |i: u32| (u64::from(start.wrapping_add(i) % distinct) + 1).pow(1 + i % 4).to_string();
            let words: Vec<String> = (0..2 * distinct).map(word).collect();
            let texts: Vec<String> = words.chunks(7).map(|words| words.join(" ")).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (mut tally, encoder) = (Tally::default(), encoder());
            for texts in texts.chunks(texts.len().div_ceil(calls)) {
                tally.count(&encoder, texts, 1).expect("nothing is written");
            }
            let expected = WordCounts::from_pairs(words.iter().map(|word| (word, 1)));
            prop_assert!(tally.finish().expect("nothing is written") == expected);
        }
    }
}
