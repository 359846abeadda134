//! Counts words while they are found: the frequent ones in a small table, all others in a large one, and on disk what
//! memory is not to hold.
use crate::Result;
use crate::encoder::Encoder;
use crate::packed::PackedWord;
use crate::parallel::{map_units, thread_count};
use crate::runs::Runs;
use crate::scanner::{Found, Words};
use crate::word_counts::{Counter, WordCounts};

/// 16,384 slots of 32 bytes stay in a second-level cache, and nine of ten words of a text are found there.
///
/// Eight times as many, asked for before they are needed, are 13 % faster on many languages at once, 5 % on novels, and 5 to
/// 8 % slower on technical English and Chinese.
const BITS: u32 = 14;
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
    counter: Counter,
    /// One slot a hash; empty before the first word.
    heads: Vec<Head>,
    /// Bytes that the counts may take in memory.
    limit: Option<usize>,
    runs: Runs,
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
        if thread_count(threads, texts.iter().map(|text| text.len()).sum()) <= 1 {
            encoder.with_worker(|worker| encoder.visit_words(texts.iter().copied(), worker, self));
        } else {
            let parts = map_units(texts, threads, |texts| {
                let mut part = Self::default();
                encoder.with_worker(|worker| encoder.visit_words(texts.iter().copied(), worker, &mut part));
                part.flushed()
            });
            parts.iter().for_each(|part| self.counter.absorb(part));
        }
        if self.limit.is_some_and(|limit| self.counter.heap_bytes() > limit / HEADROOM) { self.spill() } else { Ok(()) }
    }

    /// The counts in their final order.
    ///
    /// # Errors
    /// [`crate::Error::NoSpill`] if a temporary file cannot be written or read.
    pub fn finish(mut self) -> Result<WordCounts> {
        if self.runs.is_empty() {
            return Ok(self.flushed().finish());
        }
        self.spill()?;
        self.counter = Counter::default();
        WordCounts::from_sorted(|push| self.runs.merge(push))
    }

    fn spill(&mut self) -> Result<()> {
        self.flush();
        self.runs.write(self.counter.sorted().into_iter())?;
        self.counter.clear();
        Ok(())
    }

    fn flushed(mut self) -> Counter {
        self.flush();
        self.counter
    }

    fn flush(&mut self) {
        let Self { counter, heads, .. } = self;
        heads.drain(..).filter(|head| head.count > 0).for_each(|head| counter.add_at(head.index, head.count));
    }

    #[inline(always)]
    fn add(&mut self, word: PackedWord, found: Found<'_>, i: usize) {
        let head = &mut self.heads[slot(word)];
        if head.word == word && word != PackedWord::LONG {
            head.count += 1;
        } else {
            self.miss(word, found.bytes(i));
        }
    }

    #[cold]
    #[inline(never)]
    fn miss(&mut self, word: PackedWord, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let index = self.counter.add(bytes, 1);
        if word != PackedWord::LONG {
            let old = std::mem::replace(&mut self.heads[slot(word)], Head { word, count: 0, index });
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

impl Words for Tally {
    #[inline(never)]
    fn take(&mut self, found: Found<'_>) {
        if self.heads.is_empty() {
            self.heads.resize(1 << BITS, EMPTY);
        }
        let found = found.even();
        for i in 0..found.len() {
            self.add(found.packed(i).unwrap_or(PackedWord::LONG), found, i);
        }
    }
}
