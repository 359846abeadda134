//! What is done on several threads, and on how many.
//!
//! Work is handed out in order, in units of bytes, and results are joined in order: the output never depends on the number
//! of threads.
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::helpers::{self, lock};
use crate::machine::prefetch;

/// From this many bytes of text on other threads are woken; below, only those that are awake help.
const WORTH_WAKING: usize = 128 << 10;
pub(crate) const MIN_UNIT: usize = 8 << 10;
/// So many texts before its turn the beginning of one is asked for.
const AHEAD: usize = 4;
/// Of a megabyte, two threads would end further apart, and parts not be in a cache when they are joined.
pub(crate) const MAX_UNIT: usize = 256 << 10;

/// Of what is left, each thread takes one of so many parts for each thread, that all end at about the same time.
pub(crate) const SHARES: usize = 4;

/// Number of threads for `bytes` of text if the caller asks for `threads` (0: choose).
#[must_use]
pub fn thread_count(threads: usize, bytes: usize) -> usize {
    match (threads, bytes / MIN_UNIT) {
        (0, 0 | 1) => 1,
        (0, units) if bytes < WORTH_WAKING => processors().min(units).min(1 + helpers::awake()),
        (0, units) => processors().min(units),
        (n, _) => n,
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
pub(crate) fn units(sizes: impl Iterator<Item = usize>, unit: usize) -> Vec<Range<usize>> {
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
    let queue = Mutex::new(Queue { next: 0, ..Queue::closed(join) });
    let take = |part: &mut P| {
        let (taken, next) = &mut *lock(&source);
        *taken += 1;
        next(part).then_some(*taken - 1)
    };
    let run = || {
        let mut part = P::default();
        while let Some(unit) = take(&mut part) {
            work(&mut part);
            part = lock(&queue).put(unit, part);
        }
    };
    helpers::run(threads, &run);
}

/// Parts on their way to the output.
pub(crate) struct Queue<P, J> {
    /// The part to join next; [`CLOSED`]: none yet.
    next: usize,
    waiting: Vec<(usize, P)>,
    spare: Vec<P>,
    join: J,
}

/// No part has this number.
const CLOSED: usize = usize::MAX;

impl<P: Default, J: FnMut(&mut P)> Queue<P, J> {
    /// A queue whose parts wait until it is opened.
    pub(crate) fn closed(join: J) -> Self {
        Self { next: CLOSED, waiting: Vec::new(), spare: Vec::new(), join }
    }

    /// Joins from now on, from the first part on.
    pub(crate) fn open(&mut self) {
        self.next = 0;
        self.join_ready();
    }

    /// Joins a part, and those that waited for it; gives one to fill next.
    pub(crate) fn put(&mut self, unit: usize, part: P) -> P {
        self.waiting.push((unit, part));
        self.join_ready();
        self.spare.pop().unwrap_or_default()
    }

    fn join_ready(&mut self) {
        while let Some(place) = self.waiting.iter().position(|(unit, _)| *unit == self.next) {
            let mut part = self.waiting.swap_remove(place).1;
            (self.join)(&mut part);
            self.spare.push(part);
            self.next += 1;
        }
    }
}

/// The texts, the beginning of each asked for some texts before its turn, as they are scattered in memory.
pub fn prefetched<'t>(texts: &'t [&'t str]) -> impl Iterator<Item = &'t str> {
    let ask = |later: &&str| (0..3).for_each(|line| prefetch(later.as_ptr(), 64 * line));
    texts.iter().enumerate().map(move |(i, text)| {
        texts.get(i + AHEAD).into_iter().for_each(ask);
        *text
    })
}
