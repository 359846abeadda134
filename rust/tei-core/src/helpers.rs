//! Threads that wait a while for the next call: calls of 230 KB take a tenth less time than with threads started for each.
//!
//! Looking out for work awake, for 100 µs, was tried: where processors are shared it takes three times as long. Threads
//! that nobody needed for `PATIENCE` end, so that a program that forks later has no other threads; and those of a
//! parent process are forgotten after a fork.
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread waits for work.
const PATIENCE: Duration = Duration::from_millis(200);

/// Threads without work, of the process with this number.
static IDLE: Mutex<(u32, Vec<Arc<Helper>>)> = Mutex::new((0, Vec::new()));

type Panic = Box<dyn Any + Send>;

/// Work on the stack of a caller, who does not go on before it is done or taken back.
struct Task(&'static (dyn Fn() + Sync));

/// What a helper is about.
enum State {
    Waiting,
    Given(Task),
    Working,
    Done(Option<Panic>),
    /// Nobody will give it work again.
    Dismissed,
}

struct Helper {
    state: Mutex<State>,
    changed: Condvar,
}

/// A lock whose content is right whatever panicked: it is only ever replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on this thread and, as far as they can be had, on `threads` − 1 others; returns when all have finished.
///
/// # Panics
/// If `work` does, on any thread.
pub fn run(threads: usize, work: &(dyn Fn() + Sync)) {
    beside(work, |call| {
        call.ask(threads.saturating_sub(1));
        call.work();
    });
}

/// Runs `main` on this thread, which may ask for helpers that run `work` beside it; returns when all have finished.
///
/// # Panics
/// If `main` does, or `work` on any thread.
pub fn beside<R>(work: &(dyn Fn() + Sync), main: impl FnOnce(&Call) -> R) -> R {
    // SAFETY: only the lifetime changes; a call waits for its helpers before the work ends, even on a panic.
    let work = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
    let call = Call { work, helpers: Mutex::default() };
    let result = main(&call);
    if let Some(panic) = call.finish() {
        resume_unwind(panic);
    }
    result
}

/// Work of one caller, and the helpers at it.
pub struct Call {
    work: &'static (dyn Fn() + Sync),
    helpers: Mutex<Vec<Arc<Helper>>>,
}

impl Call {
    /// Has at least `count` helpers at work, as far as they can be had.
    pub fn ask(&self, count: usize) {
        let mut helpers = lock(&self.helpers);
        let missing = helpers.len()..count;
        helpers.extend(missing.map_while(|_| Helper::get(Task(self.work))));
    }

    /// Works on this thread, too.
    pub fn work(&self) {
        (self.work)();
    }

    /// Waits for those that have begun; the others need not.
    fn finish(&self) -> Option<Panic> {
        let helpers = std::mem::take(&mut *lock(&self.helpers));
        let panics: Vec<_> = helpers.into_iter().filter_map(Helper::release).collect();
        panics.into_iter().next()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Helper {
    /// A helper with a task: one that waits, or a new one. None if there can be no more threads.
    fn get(task: Task) -> Option<Arc<Self>> {
        if let Some(helper) = idle().and_then(|mut idle| idle.1.pop()) {
            *lock(&helper.state) = State::Given(task);
            helper.changed.notify_all();
            return Some(helper);
        }
        let helper = Arc::new(Self { state: Mutex::new(State::Given(task)), changed: Condvar::new() });
        let own = Arc::clone(&helper);
        std::thread::Builder::new().name("tei".into()).spawn(move || own.serve()).ok().map(|_| helper)
    }

    /// Takes the task back or waits until it is done, and lets the helper go; the panic of the task.
    fn release(self: Arc<Self>) -> Option<Panic> {
        let mut state = lock(&self.state);
        while let State::Working = *state {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut idle = idle();
        let next = if idle.is_some() { State::Waiting } else { State::Dismissed };
        let before = std::mem::replace(&mut *state, next);
        if let Some(idle) = &mut idle {
            idle.1.push(Arc::clone(&self));
        } else {
            self.changed.notify_all();
        }
        if let State::Done(panic) = before { panic } else { None }
    }

    fn serve(self: Arc<Self>) {
        let mut state = lock(&self.state);
        loop {
            match &*state {
                State::Given(_) => {
                    if let State::Given(task) = std::mem::replace(&mut *state, State::Working) {
                        drop(state);
                        // The caller waits as long as the state is `Working`.
                        let panic = catch_unwind(AssertUnwindSafe(task.0)).err();
                        state = lock(&self.state);
                        *state = State::Done(panic);
                        self.changed.notify_all();
                    }
                }
                State::Dismissed => return,
                _ => {
                    let waited = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
                    state = waited.0;
                    if waited.1.timed_out() && matches!(*state, State::Waiting) {
                        drop(state);
                        if self.leave() {
                            return;
                        }
                        state = lock(&self.state);
                    }
                }
            }
        }
    }

    /// Takes itself off the list; false if a caller was faster.
    fn leave(self: &Arc<Self>) -> bool {
        let mut idle = lock(&IDLE);
        let listed = idle.1.iter().position(|helper| Arc::ptr_eq(helper, self));
        listed.map(|at| idle.1.swap_remove(at)).is_some()
    }
}

/// The list, if it can be had at once: a fork may have copied it locked, and no caller needs helpers to be right.
fn idle() -> Option<MutexGuard<'static, (u32, Vec<Arc<Helper>>)>> {
    let mut idle = IDLE.try_lock().ok()?;
    let process = std::process::id();
    if idle.0 != process {
        *idle = (process, Vec::new());
    }
    Some(idle)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn count(threads: usize, items: usize) -> usize {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(threads, &|| {
            while next.fetch_add(1, Ordering::Relaxed) < items {
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        done.into_inner()
    }

    #[test]
    fn all_work_is_done_whoever_does_it() {
        std::thread::scope(|scope| {
            for threads in 1..6 {
                scope.spawn(move || (0..300).for_each(|items| assert_eq!(count(threads, items), items)));
            }
        });
    }

    #[test]
    fn helpers_that_left_are_replaced() {
        for _ in 0..3 {
            assert_eq!(count(3, 1_000), 1_000);
            std::thread::sleep(PATIENCE + Duration::from_millis(50));
        }
    }

    #[test]
    fn a_panic_arrives_after_all_have_stopped() {
        let both = std::sync::Barrier::new(2);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            run(2, &|| {
                both.wait();
                assert!(std::thread::current().name() != Some("tei"), "a helper fails");
            });
        }));
        assert!(caught.is_err());
        assert_eq!(count(2, 100), 100);
    }
}
