//! The only file that knows about threads.
//!
//! Threads are scoped to a call: nothing outlives it, so nothing can be lost in a fork. Work is handed out in order, in
//! units of bytes, and results are joined in order: the output never depends on the number of threads.
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::TokenId;
use crate::encoder::Encoder;

/// Below this many bytes of text a second thread costs more than it brings.
const SERIAL_BYTES: usize = 128 << 10;
const MIN_UNIT: usize = 32 << 10;
const MAX_UNIT: usize = 1 << 20;

/// Number of threads for `bytes` of text if the caller asks for `threads` (0: choose).
#[must_use]
pub fn thread_count(threads: usize, bytes: usize) -> usize {
    match threads {
        0 if bytes < SERIAL_BYTES => 1,
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
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

/// Runs `work` on every unit of `texts`, on `threads` threads, and returns the results in order.
pub fn map_units<R: Send>(
    texts: &[Cow<'_, str>],
    threads: usize,
    work: impl Fn(&[Cow<'_, str>]) -> R + Sync,
) -> Vec<R> {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let threads = thread_count(threads, bytes);
    if threads <= 1 {
        return vec![work(texts)];
    }
    let units = units(texts.iter().map(|text| text.len() + 16), (bytes / (8 * threads)).clamp(MIN_UNIT, MAX_UNIT));
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(units.iter().map(|_| None).collect());
    let run = || {
        while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(&texts[unit.clone()]);
            let place = units.partition_point(|u| u.end < unit.end);
            if let Ok(mut results) = results.lock() {
                results[place] = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(units.len()) {
            scope.spawn(run);
        }
        run();
    });
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_iter().flatten().collect()
}

/// Encodes all texts: their ids one after the other, and where each text's ids begin, with the end last.
#[must_use]
pub fn encode_batch(encoder: &Encoder, texts: &[Cow<'_, str>], threads: usize) -> (Vec<i32>, Vec<i64>) {
    let mut parts = map_units(texts, threads, |texts| {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let (mut ids, mut ends) = (Vec::with_capacity(bytes / 3 + texts.len()), Vec::with_capacity(texts.len()));
        encoder.with_worker(|worker| encoder.encode(texts.iter().map(AsRef::as_ref), worker, &mut ids, &mut ends));
        (ids, ends)
    });
    let (ids, ends) = if parts.len() == 1 { parts.remove(0) } else { join(parts) };
    let row_offsets = std::iter::once(0).chain(ends).collect();
    (signed(ids), row_offsets)
}

fn join(parts: Vec<(Vec<TokenId>, Vec<i64>)>) -> (Vec<TokenId>, Vec<i64>) {
    let mut ids = Vec::with_capacity(parts.iter().map(|(ids, _)| ids.len()).sum());
    let mut ends = Vec::with_capacity(parts.iter().map(|(_, ends)| ends.len()).sum());
    for (part, part_ends) in parts {
        let start = ids.len() as i64;
        ids.extend(part);
        ends.extend(part_ends.iter().map(|end| start + end));
    }
    (ids, ends)
}

/// The same ids, and the same memory, as numpy wants them.
fn signed(ids: Vec<TokenId>) -> Vec<i32> {
    let mut ids = std::mem::ManuallyDrop::new(ids);
    // SAFETY: both types are four plain bytes; vocabularies are too small for an id that would become negative.
    unsafe { Vec::from_raw_parts(ids.as_mut_ptr().cast(), ids.len(), ids.capacity()) }
}
