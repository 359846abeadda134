//! Workers kept from call to call, each for the thread that had it last.
use std::sync::{Mutex, MutexGuard};

use super::Worker;

/// How often a lock is tried that another thread holds for some nanoseconds.
const TRIES: usize = 1_000;

/// Workers that no thread uses now, each with the thread that had it last.
#[derive(Debug, Default)]
pub(super) struct Workers(Mutex<Vec<(usize, Worker)>>);

impl Workers {
    /// Runs `f` with a worker that no other thread uses: this thread's own if there is one, since another's words lie in
    /// the caches of another processor. Batches on two threads took twice as long when workers went to whoever came first.
    pub fn with<R>(&self, f: impl FnOnce(&mut Worker) -> R) -> R {
        let here = this_thread();
        let kept = self.open().and_then(|mut workers| {
            let own = workers.iter().position(|(thread, _)| *thread == here);
            own.or(workers.len().checked_sub(1)).map(|place| workers.swap_remove(place).1)
        });
        let mut worker = kept.unwrap_or_default();
        let result = f(&mut worker);
        if let Some(mut workers) = self.open() {
            workers.push((here, worker));
        }
        result
    }

    /// The list; None if a fork copied it while another thread held it, which then never lets it go.
    fn open(&self) -> Option<MutexGuard<'_, Vec<(usize, Worker)>>> {
        (0..TRIES).find_map(|_| self.0.try_lock().inspect_err(|_| std::hint::spin_loop()).ok())
    }
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Writes a name into the worker of this thread, and returns the one that was there.
    fn mark(workers: &Workers, name: u8) -> Vec<u8> {
        workers.with(|worker| std::mem::replace(&mut worker.spelling, vec![name]))
    }

    #[test]
    fn every_thread_gets_its_own_back() {
        let (workers, turn) = (Workers::default(), Barrier::new(3));
        std::thread::scope(|scope| {
            for name in 1..=3 {
                let (workers, turn) = (&workers, &turn);
                scope.spawn(move || {
                    workers.with(|worker| {
                        worker.spelling = vec![name];
                        turn.wait();
                    });
                    for _ in 0..100 {
                        turn.wait();
                        assert_eq!(mark(workers, name), [name]);
                    }
                });
            }
        });
    }

    #[test]
    fn those_of_threads_that_ended_are_used_again() {
        let workers = Workers::default();
        std::thread::scope(|scope| scope.spawn(|| mark(&workers, 7)).join().map(|before| assert!(before.is_empty())))
            .expect("no panic");
        assert_eq!(mark(&workers, 8), [7]);
        assert_eq!(workers.0.lock().map_or(0, |workers| workers.len()), 1);
    }
}
