//! Texts handed out to threads, while others are still coming in: strings of Python are read by one thread only.
use std::sync::{Condvar, Mutex, PoisonError};

use crate::helpers::{self, Call, lock};
use crate::parallel::{MAX_UNIT, MIN_UNIT, SHARES, thread_count};

/// What a text weighs besides its bytes.
const TEXT: usize = 16;

/// Texts that threads take from, in order.
#[derive(Default)]
pub struct Feed<'t> {
    state: Mutex<State<'t>>,
    more: Condvar,
}

#[derive(Default)]
struct State<'t> {
    /// Those that nobody has taken.
    left: &'t [&'t str],
    /// What they weigh.
    weight: usize,
    /// How many have been shown.
    shown: usize,
    /// Number of the next unit.
    unit: usize,
    /// How many threads share them once all have been shown; before that 0.
    sharers: usize,
}

impl<'t> Feed<'t> {
    /// Runs `main` on this thread, and `work`, which is to take until nothing is left, on others from when there is enough to do.
    pub fn work<R>(&self, threads: usize, work: &(dyn Fn() + Sync), main: impl FnOnce(Incoming<'_, 't>) -> R) -> R {
        helpers::beside(work, |call| main(Incoming { feed: self, call, threads, bytes: 0 }))
    }

    /// The next texts, together large enough to be worth it, with the number of their unit; waits for them if need be.
    pub fn take(&self) -> Option<(usize, &'t [&'t str])> {
        let mut state = lock(&self.state);
        while state.left.is_empty() {
            if state.sharers > 0 {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some(state.take())
    }

    /// Runs `work`, which is to take until nothing is left, on all threads.
    fn work_on(&self, texts: &'t [&'t str], threads: usize, work: &(dyn Fn() + Sync)) {
        self.work(threads, work, |mut incoming| {
            incoming.end(texts);
            incoming.work();
        });
    }
}

impl<'t> State<'t> {
    fn take(&mut self) -> (usize, &'t [&'t str]) {
        let most = if self.sharers == 0 { MAX_UNIT } else { self.weight / (SHARES * self.sharers) };
        let (enough, mut taken, mut count) = (most.clamp(MIN_UNIT, MAX_UNIT), 0, 0);
        while taken < enough && count < self.left.len() {
            taken += self.left[count].len() + TEXT;
            count += 1;
        }
        self.weight -= taken;
        self.unit += 1;
        (self.unit - 1, self.left.split_off(..count).unwrap_or_default())
    }
}

/// The end of a [`Feed`] where texts come in. If it is dropped before that, what has not been taken is forgotten.
pub struct Incoming<'a, 't> {
    feed: &'a Feed<'t>,
    call: &'a Call,
    threads: usize,
    bytes: usize,
}

impl<'t> Incoming<'_, 't> {
    /// Shows all texts that are there so far; those shown before come first.
    pub fn show(&mut self, texts: &'t [&'t str]) {
        self.add(texts, false);
    }

    /// Shows all texts there will ever be; returns how many bytes they have.
    pub fn end(&mut self, texts: &'t [&'t str]) -> usize {
        self.add(texts, true);
        self.bytes
    }

    fn add(&mut self, texts: &'t [&'t str], last: bool) {
        let mut state = lock(&self.feed.state);
        let new = &texts[state.shown..];
        let bytes: usize = new.iter().map(|text| text.len()).sum();
        state.left = &texts[state.shown - state.left.len()..];
        state.shown = texts.len();
        state.weight += bytes + TEXT * new.len();
        self.bytes += bytes;
        let threads = thread_count(self.threads, self.bytes);
        state.sharers = if last { threads } else { 0 };
        drop(state);
        self.feed.more.notify_all();
        self.call.ask(threads - 1);
    }

    /// Works on this thread, too, until nothing is left.
    pub fn work(&self) {
        self.call.work();
    }
}

impl Drop for Incoming<'_, '_> {
    fn drop(&mut self) {
        let mut state = lock(&self.feed.state);
        if state.sharers == 0 {
            *state = State { sharers: 1, ..State::default() };
            self.feed.more.notify_all();
        }
    }
}

/// Runs `work` on every unit of `texts`, on `threads` threads (0: choose), and returns the results in order.
pub fn map_units<R: Send>(texts: &[&str], threads: usize, work: impl Fn(&[&str]) -> R + Sync) -> Vec<R> {
    let (feed, results) = (Feed::default(), Mutex::new(Vec::new()));
    feed.work_on(texts, threads, &|| {
        while let Some((unit, texts)) = feed.take() {
            let result = work(texts);
            lock(&results).push((unit, result));
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(unit, _)| *unit);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs `work` on every unit of `texts`, on `threads` threads (0: choose), each with a state of its own that goes from unit to
/// unit.
///
/// Which state sees which unit is a matter of chance. States there are go on; new ones are left with them.
pub fn fold_units<S: Default + Send>(
    texts: &[&str],
    threads: usize,
    states: &mut Vec<S>,
    work: impl Fn(&mut S, &[&str]) + Sync,
) {
    let (feed, idle) = (Feed::default(), Mutex::new(std::mem::take(states)));
    feed.work_on(texts, threads, &|| {
        let Some((_, mut texts)) = feed.take() else { return };
        let mut state = lock(&idle).pop().unwrap_or_default();
        loop {
            work(&mut state, texts);
            match feed.take() {
                Some((_, next)) => texts = next,
                None => break lock(&idle).push(state),
            }
        }
    });
    *states = idle.into_inner().unwrap_or_else(PoisonError::into_inner);
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Takes all texts, which are shown in parts of `part`; the units in order.
    fn taken<'t>(texts: &'t [&'t str], part: usize, threads: usize) -> Vec<&'t [&'t str]> {
        let (feed, units) = (Feed::default(), Mutex::new(Vec::new()));
        let work = || {
            while let Some((unit, texts)) = feed.take() {
                lock(&units).push((unit, texts));
            }
        };
        feed.work(threads, &work, |mut incoming| {
            for shown in (0..texts.len()).step_by(part) {
                incoming.show(&texts[..shown]);
            }
            let bytes = incoming.end(texts);
            assert_eq!(bytes, texts.iter().map(|text| text.len()).sum::<usize>());
            incoming.work();
        });
        let mut units = units.into_inner().unwrap_or_else(PoisonError::into_inner);
        units.sort_unstable_by_key(|(unit, _)| *unit);
        assert!(units.iter().map(|(unit, _)| *unit).eq(0..units.len()));
        units.into_iter().map(|(_, texts)| texts).collect()
    }

    #[test]
    fn every_text_is_taken_once_and_in_order() {
        let text = "x".repeat(3 * MAX_UNIT);
        let texts: Vec<&str> =
            (0..5_000).map(|i| &text[..if i % 1_000 == 999 { text.len() } else { i % 300 }]).collect();
        for (part, threads) in [(1, 1), (7, 2), (1_024, 3), (9_999, 0)] {
            let units = taken(&texts, part, threads);
            assert!(units.len() >= 5, "{} units", units.len());
            assert_eq!(units.concat(), texts, "parts of {part}, {threads} threads");
        }
        assert_eq!(taken(&[], 1, 3), Vec::<&[&str]>::new());
    }

    #[test]
    fn the_last_units_are_small() {
        let text = "x".repeat(1_000);
        let texts = vec![text.as_str(); 4_000];
        let sizes: Vec<_> = taken(&texts, 4_000, 2).iter().map(|unit| unit.len() * (text.len() + TEXT)).collect();
        assert!(sizes[0] >= MAX_UNIT, "{sizes:?}");
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(sizes[sizes.len() - 2] < MIN_UNIT + 1_016, "{sizes:?}");
    }

    #[test]
    fn who_stops_showing_stops_all() {
        let text = "x".repeat(200_000);
        let texts = [text.as_str(); 3];
        let (feed, done) = (Feed::default(), AtomicUsize::new(0));
        let work = || {
            while feed.take().is_some() {
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let failed = catch_unwind(AssertUnwindSafe(|| {
            feed.work(3, &work, |mut incoming| {
                incoming.show(&texts[..2]);
                assert!(texts.is_empty(), "the third cannot be read");
            });
        }));
        assert!(failed.is_err());
        assert!(done.into_inner() <= 2);
        assert!(feed.take().is_none());
    }
}
