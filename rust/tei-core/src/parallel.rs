//! What is done on several threads, and on how many.
//!
//! Work is handed out in order, in units of bytes, and results are joined in order: the output never depends on the number
//! of threads.
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::encoder::{Encoder, Worker};
use crate::encoding::Encoding;
use crate::machine::prefetch;
use crate::{TokenId, helpers, huge, span};

/// Below this many bytes of text a second thread costs more than it brings.
const SERIAL_BYTES: usize = 128 << 10;
const MIN_UNIT: usize = 32 << 10;
/// From so many bytes on, the number of ids is judged by a sample: of so many texts so many bytes.
const SAMPLED_FROM: usize = 1 << 20;
const SAMPLES: usize = 64;
const SAMPLE: usize = 512;
/// So many texts before its turn the beginning of one is asked for.
const AHEAD: usize = 4;
/// Of a megabyte, two threads would end further apart, and parts not be in a cache when they are joined.
const MAX_UNIT: usize = 256 << 10;

/// Number of threads for `bytes` of text if the caller asks for `threads` (0: choose).
#[must_use]
pub fn thread_count(threads: usize, bytes: usize) -> usize {
    match threads {
        0 if bytes < SERIAL_BYTES => 1,
        0 => processors(),
        n => n,
    }
}

/// Number of processors this process may use, by affinity and by the quota of its control group.
#[must_use]
pub fn processors() -> usize {
    // The standard library reads several files each time, 40 µs; asking the kernel for the affinity alone takes 0.3 µs.
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let (affinity, known) = (affinity(), KNOWN.load(Ordering::Relaxed));
    if known != 0 && known >> 16 == affinity {
        return known & 0xFFFF;
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from).min(0xFFFF);
    KNOWN.store(affinity << 16 | count, Ordering::Relaxed);
    count
}

#[cfg(target_os = "linux")]
fn affinity() -> usize {
    let mut set = std::mem::MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the kernel fills at most the size it is told; all zeros are a valid set.
    unsafe {
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr());
        libc::CPU_COUNT(set.assume_init_ref()).cast_unsigned() as usize
    }
}

#[cfg(not(target_os = "linux"))]
fn affinity() -> usize {
    0
}

/// Cuts items of the given sizes into runs of about `unit` bytes.
fn units(sizes: impl Iterator<Item = usize>, unit: usize) -> Vec<Range<usize>> {
    let (mut units, mut start, mut filled, mut end) = (Vec::new(), 0, 0, 0);
    for size in sizes {
        end += 1;
        filled += size;
        if filled >= unit {
            units.push(start..end);
            (start, filled) = (end, 0);
        }
    }
    if start < end {
        units.push(start..end);
    }
    units
}

/// Runs `work` on the units 0 to `count`, each with a part to fill, and hands the parts to `join` in order.
pub fn in_order<P: Default + Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize, &mut P) + Sync,
    mut join: impl FnMut(&mut P) + Send,
) {
    let mut units = 0..count;
    stream(
        threads.min(count),
        |(unit, _)| units.next().map(|next| *unit = next).is_some(),
        |(unit, part): &mut (usize, P)| work(*unit, part),
        |(_, part)| join(part),
    );
}

/// Takes parts by `next`, one after the other, until it returns false; works on them on all threads, and hands them to
/// `join` in the order they were taken in.
///
/// Parts are joined while they are still in a cache of the processor, and used again: there is no second pass over the
/// output, and no memory but that of the few parts that wait for an earlier one.
pub fn stream<P: Default + Send>(
    threads: usize,
    next: impl FnMut(&mut P) -> bool + Send,
    work: impl Fn(&mut P) + Sync,
    join: impl FnMut(&mut P) + Send,
) {
    let source = Mutex::new((0, next));
    let queue = Mutex::new(Queue { next: 0, waiting: Vec::new(), spare: Vec::new(), join });
    let take = |part: &mut P| {
        let (taken, next) = &mut *source.lock().unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        next(part).then_some(*taken - 1)
    };
    let run = || {
        let mut part = P::default();
        while let Some(unit) = take(&mut part) {
            work(&mut part);
            part = queue.lock().unwrap_or_else(PoisonError::into_inner).put(unit, part);
        }
    };
    helpers::run(threads, &run);
}

/// Parts on their way to the output.
struct Queue<P, J> {
    next: usize,
    waiting: Vec<(usize, P)>,
    spare: Vec<P>,
    join: J,
}

impl<P: Default, J: FnMut(&mut P)> Queue<P, J> {
    /// Joins a part, and those that waited for it; gives one to fill next.
    fn put(&mut self, unit: usize, part: P) -> P {
        self.waiting.push((unit, part));
        while let Some(place) = self.waiting.iter().position(|(unit, _)| *unit == self.next) {
            let mut part = self.waiting.swap_remove(place).1;
            (self.join)(&mut part);
            self.spare.push(part);
            self.next += 1;
        }
        self.spare.pop().unwrap_or_default()
    }
}

/// Runs `work` on every unit of `texts`, on `threads` threads, and returns the results in order.
pub fn map_units<R: Send>(texts: &[&str], threads: usize, work: impl Fn(&[&str]) -> R + Sync) -> Vec<R> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let threads = thread_count(threads, bytes);
    if threads <= 1 {
        return vec![work(texts)];
    }
    let (units, mut results) = (text_units(texts, bytes, threads), Vec::new());
    let fill = |unit: usize, part: &mut Option<R>| *part = Some(work(&texts[units[unit].clone()]));
    in_order(units.len(), threads, fill, |part| results.extend(part.take()));
    results
}

/// Runs `work` on every unit of `texts`, on `threads` threads, each with a state of its own that goes from unit to unit.
///
/// Which state sees which unit is a matter of chance. States there are go on; new ones are left with them.
pub fn fold_units<S: Default + Send>(
    texts: &[&str],
    threads: usize,
    states: &mut Vec<S>,
    work: impl Fn(&mut S, &[&str]) + Sync,
) {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let threads = thread_count(threads, bytes);
    let units = text_units(texts, bytes, threads.max(1));
    let (next, idle) = (AtomicUsize::new(0), Mutex::new(std::mem::take(states)));
    let idle_states = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    helpers::run(threads, &|| {
        let taken = || units.get(next.fetch_add(1, Ordering::Relaxed));
        let Some(mut unit) = taken() else { return };
        let mut state = idle_states().pop().unwrap_or_default();
        loop {
            work(&mut state, &texts[unit.clone()]);
            match taken() {
                Some(next) => unit = next,
                None => break idle_states().push(state),
            }
        }
    });
    *states = idle.into_inner().unwrap_or_else(PoisonError::into_inner);
}

fn text_units(texts: &[&str], bytes: usize, threads: usize) -> Vec<Range<usize>> {
    units(texts.iter().map(|text| text.len() + 16), (bytes / (8 * threads)).clamp(MIN_UNIT, MAX_UNIT))
}

/// The texts, the beginning of each asked for some texts before its turn, as they are scattered in memory.
pub fn prefetched<'t>(texts: &'t [&'t str]) -> impl Iterator<Item = &'t str> {
    let ask = |later: &&str| (0..3).for_each(|line| prefetch(later.as_ptr(), 64 * line));
    texts.iter().enumerate().map(move |(i, text)| {
        texts.get(i + AHEAD).into_iter().for_each(ask);
        *text
    })
}

/// Rows of ids, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// All ids.
    pub ids: Vec<TokenId>,
    /// Where each row ends; in a result, where the first begins comes before.
    pub ends: Vec<i64>,
}

impl Rows {
    /// Appends a row for each text, of at most `limit` ids.
    pub fn encode(&mut self, encoder: &Encoder, texts: &[&str], limit: usize, worker: &mut Worker) {
        self.ends.reserve(texts.len());
        encoder.encode_up_to(limit, prefetched(texts), worker, &mut self.ids, &mut self.ends);
    }

    /// Makes room for the ids of `bytes` of text that is not there yet.
    pub fn reserve(&mut self, bytes: usize) {
        // A third is more than most texts need; what is not written costs nothing.
        huge::reserve(&mut self.ids, bytes / 3);
    }

    /// Makes room for the ids of texts of `bytes` in all, as many as the beginnings of some let expect, of each at most `limit`.
    ///
    /// Growing is a copy to small pages, which took a tenth of all time, and memory of more than 32 MiB is taken from the
    /// system anew for each batch.
    fn make_room(&mut self, encoder: &Encoder, texts: &[&str], bytes: usize, limit: usize) {
        let most = texts.len().saturating_mul(limit);
        if bytes < SAMPLED_FROM {
            return self.ids.reserve((bytes / 2).min(most));
        }
        let beginning = |text: &&'_ str| text.floor_char_boundary(SAMPLE.min(text.len()));
        let sample = texts.iter().step_by(texts.len().div_ceil(SAMPLES));
        let sample: Vec<&str> = sample.map(|text| &text[..beginning(text)]).collect();
        let mut rows = Self::default();
        encoder.with_worker(|worker| rows.encode(encoder, &sample, usize::MAX, worker));
        let times = bytes / sample.iter().map(|text| text.len()).sum::<usize>().max(1) + 1;
        huge::reserve(&mut self.ids, most.min(rows.ids.len() * times / 20 * 21 + SAMPLED_FROM / 8));
    }

    /// Moves the rows of `part` to the end of these.
    pub fn take(&mut self, part: &mut Self) {
        let start = self.ids.len() as i64;
        self.ids.append(&mut part.ids);
        self.ends.extend(part.ends.drain(..).map(|end| start + end));
    }

    /// No rows, with a first offset.
    #[must_use]
    pub fn empty() -> Self {
        Self { ids: Vec::new(), ends: vec![0] }
    }

    /// Ids, and where each row begins, with the end last.
    #[must_use]
    pub fn finish(self) -> (Vec<i32>, Vec<i64>) {
        (signed(self.ids), self.ends)
    }
}

/// Encodes all texts, or the first `limit` ids of each.
#[must_use]
pub fn encode_batch(encoder: &Encoder, texts: &[&str], limit: usize, threads: usize) -> Rows {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let threads = thread_count(threads, bytes);
    let mut rows = Rows::empty();
    rows.make_room(encoder, texts, bytes, limit);
    if threads <= 1 {
        encoder.with_worker(|worker| rows.encode(encoder, texts, limit, worker));
        return rows;
    }
    let units = text_units(texts, bytes, threads);
    let fill = |unit: usize, part: &mut Rows| {
        encoder.with_worker(|worker| part.encode(encoder, &texts[units[unit].clone()], limit, worker));
    };
    in_order(units.len(), threads, fill, |part| rows.take(part));
    rows
}

/// Runs `decode` on all rows of `ids`, which begin and end at `offsets`, and returns the texts in order.
#[must_use]
pub fn decode_batch(
    ids: &[TokenId],
    offsets: &[usize],
    threads: usize,
    decode: impl Fn(&[TokenId]) -> String + Sync,
) -> Vec<String> {
    let threads = thread_count(threads, size_of_val(ids));
    let rows: Vec<_> = offsets.windows(2).map(|ends| &ids[ends[0]..ends[1]]).collect();
    let units = units(rows.iter().map(|row| size_of_val(*row) + 16), MIN_UNIT);
    let mut texts = Vec::with_capacity(rows.len());
    let fill =
        |unit: usize, part: &mut Vec<String>| part.extend(rows[units[unit].clone()].iter().map(|row| decode(row)));
    in_order(units.len(), threads, fill, |part| texts.append(part));
    texts
}

/// Rows of ids with their places in the texts, as columns.
#[derive(Clone, Debug, Default)]
pub struct AlignedRows {
    /// Ids.
    pub rows: Rows,
    /// Start and end of each id in its text, in characters, one pair after the other.
    pub offsets: Vec<i64>,
    /// Number of the word each id belongs to.
    pub word_ids: Vec<i64>,
}

impl AlignedRows {
    /// Appends the encoding of a text.
    pub(crate) fn push(&mut self, text: &[u8], encoding: Encoding) {
        let spans = span::to_chars(text, &encoding.offsets);
        self.offsets.extend(spans.iter().flat_map(|&(start, end)| [start as i64, end as i64]));
        self.word_ids.extend(encoding.word_ids.iter().map(|&word| i64::from(word)));
        self.rows.ids.extend(encoding.ids);
        self.rows.ends.push(self.rows.ids.len() as i64);
    }
}

/// Encodes all texts with their alignment.
#[must_use]
pub fn encode_aligned_batch(encoder: &Encoder, texts: &[&str], threads: usize) -> AlignedRows {
    let parts = map_units(texts, threads, |texts| {
        let mut part = AlignedRows::default();
        texts.iter().for_each(|text| part.push(text.as_bytes(), encoder.encode_aligned(text)));
        part
    });
    let mut all = AlignedRows { rows: Rows::empty(), ..AlignedRows::default() };
    for mut part in parts {
        all.rows.take(&mut part.rows);
        all.offsets.append(&mut part.offsets);
        all.word_ids.append(&mut part.word_ids);
    }
    all
}

/// The same ids, and the same memory, as numpy wants them.
fn signed(ids: Vec<TokenId>) -> Vec<i32> {
    let mut ids = std::mem::ManuallyDrop::new(ids);
    // SAFETY: both types are four plain bytes; vocabularies are too small for an id that would become negative.
    unsafe { Vec::from_raw_parts(ids.as_mut_ptr().cast(), ids.len(), ids.capacity()) }
}
