//! Counts words while they are found: the frequent ones in a small table, all others in a large one, and on disk what
//! memory is not to hold.
use crate::Result;
use crate::encoder::Encoder;
use crate::machine::prefetch;
use crate::packed::PackedWord;
use crate::parallel::fold_units;
use crate::runs::Runs;
use crate::scanner::{Found, Words};
use crate::word_counts::{Counter, WordCounts};

/// 32,768 slots of 32 bytes; nineteen of twenty words of a text are found there.
///
/// Twice as many are 5 % faster on novels and no faster on others, and take longer to make for a part of a text.
const BITS: u32 = 15;
/// So many words are looked for together: the memory of the last has come when the first is counted.
const TOGETHER: usize = 64;
/// Tables double, old and new exist side by side, and sorting needs room: so much less may be in use than is allowed.
const HEADROOM: usize = 4;

/// A frequent word, where it is in the large table, and how often it was met since it came into the small one.
#[derive(Clone, Copy, Debug)]
struct Head {
    word: PackedWord,
    count: u64,
    index: u32,
}

/// No word packs to [`PackedWord::LONG`].
const EMPTY: Head = Head { word: PackedWord::LONG, count: 0, index: 0 };

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
#[derive(Debug, Default)]
struct Part {
    counter: Counter,
    /// One slot a hash; empty before the first word.
    heads: Vec<Head>,
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
            encoder.with_worker(|worker| encoder.visit_words(texts.iter().copied(), worker, part));
        });
        let bytes: usize = self.parts.iter().map(|part| part.counter.heap_bytes()).sum();
        if self.limit.is_some_and(|limit| bytes > limit / HEADROOM) { self.spill() } else { Ok(()) }
    }

    /// The counts in their final order.
    ///
    /// # Errors
    /// [`crate::Error::NoSpill`] if a temporary file cannot be written or read.
    pub fn finish(mut self) -> Result<WordCounts> {
        if self.runs.is_empty() {
            return Ok(self.joined().finish());
        }
        self.spill()?;
        WordCounts::from_sorted(|push| self.runs.merge(push))
    }

    fn spill(&mut self) -> Result<()> {
        let counter = self.joined();
        self.runs.write(counter.sorted().into_iter())
    }

    /// What all threads have counted, which they forget.
    fn joined(&mut self) -> Counter {
        let mut parts = std::mem::take(&mut self.parts).into_iter().map(Part::flushed);
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |mut all, part| {
            all.absorb(&part);
            all
        })
    }
}

impl Part {
    fn flushed(mut self) -> Counter {
        let Self { counter, heads } = &mut self;
        heads.drain(..).filter(|head| head.count > 0).for_each(|head| counter.add_at(head.index, head.count));
        self.counter
    }

    #[cold]
    #[inline(never)]
    fn miss(&mut self, word: PackedWord, slot: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let index = self.counter.add(bytes, 1);
        if word != PackedWord::LONG {
            let old = std::mem::replace(&mut self.heads[slot], Head { word, count: 0, index });
            self.counter.add_at(old.index, old.count);
        }
    }
}

/// Where a word is looked for; which words share a slot changes only how fast they are counted.
#[inline(always)]
fn slot(word: PackedWord) -> usize {
    let bits = word.bits();
    let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (64 - BITS)) as usize
}

impl Words for Part {
    // A function of its own, so that its loops have registers enough.
    #[inline(never)]
    fn take(&mut self, found: Found<'_>) {
        if self.heads.is_empty() {
            self.heads.resize(1 << BITS, EMPTY);
        }
        let (found, mut waiting) = (found.even(), [(PackedWord::LONG, 0); TOGETHER]);
        for first in (0..found.len()).step_by(TOGETHER) {
            let words = first..(first + TOGETHER).min(found.len());
            let waiting = &mut waiting[..words.len()];
            for (i, (word, at)) in words.clone().zip(&mut *waiting) {
                *word = found.packed(i).unwrap_or(PackedWord::LONG);
                *at = slot(*word);
                prefetch(self.heads.as_ptr().wrapping_add(*at), 0);
            }
            for (i, (word, at)) in words.zip(waiting) {
                let head = &mut self.heads[*at];
                if head.word == *word && *word != PackedWord::LONG {
                    head.count += 1;
                } else {
                    self.miss(*word, *at, found.bytes(i));
                }
            }
        }
    }
}
