//! Counts words while they are found: short ones in a table of their own, and on disk what memory is not to hold.
use crate::Result;
use crate::encoder::Encoder;
use crate::machine::{Baseline, Machine};
use crate::packed::PackedWord;
use crate::parallel::{fold_units, prefetched};
use crate::runs::Runs;
use crate::scanner::{Found, Words};
use crate::short_counts::{Place, ShortCounts};
use crate::word_counts::{Counter, Unordered, WordCounts};

/// So many words are looked for together: the memory of the last has come when the first is counted.
///
/// Half as many cost 4 % of the time, twice as many as much.
const TOGETHER: usize = 128;
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
    long: Counter,
}

impl Default for Part {
    fn default() -> Self {
        Self { singles: [[0; LANES]; 128], short: ShortCounts::default(), long: Counter::default() }
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
        let bytes: usize = self.parts.iter().map(Part::heap_bytes).sum();
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
    /// With all short words in one table.
    fn settled(mut self) -> Self {
        for (byte, lanes) in (0..).zip(std::mem::replace(&mut self.singles, [[0; LANES]; 128])) {
            if let Some(word) = PackedWord::new(&[byte]) {
                self.short.insert(word, lanes.iter().sum());
            }
        }
        self
    }

    fn heap_bytes(&self) -> usize {
        self.short.heap_bytes() + self.long.heap_bytes()
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
        let (found, mut waiting) = (found.even(), [(PackedWord::LONG, Place::default()); TOGETHER]);
        for first in (0..found.len()).step_by(TOGETHER) {
            let words = first..(first + TOGETHER).min(found.len());
            let waiting = &mut waiting[..words.len()];
            self.short.reserve(TOGETHER);
            for (i, (word, place)) in words.clone().zip(&mut *waiting) {
                *word = found.packed(i).unwrap_or(PackedWord::LONG);
                *place = self.short.prefetch(*word);
            }
            for (i, (word, place)) in words.zip(waiting) {
                if !self.short.count(*word, *place) {
                    self.count_slowly(*word, *place, found.bytes(i));
                }
            }
        }
    }

    #[inline(never)]
    fn count_slowly(&mut self, word: PackedWord, place: Place, bytes: &[u8]) {
        if word != PackedWord::LONG {
            self.short.count_slowly(word, place);
        } else if !bytes.is_empty() {
            self.long.add(bytes, 1);
        }
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
