//! Threads that wait a while for the next call: calls of 230 KB take a tenth less time than with threads started for each.
//!
//! For a moment they look out for it awake, as a caller does for their end: to be woken takes 25 µs and more, to be seen
//! less than one. Threads that nobody needed for `PATIENCE` end, so that a program that forks later has no other threads; and
//! those of a parent process are forgotten after a fork.
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread waits for work.
const PATIENCE: Duration = Duration::from_millis(200);

/// How long it looks out for it awake: between two batches a program does something with the first.
const AWAKE: Duration = Duration::from_micros(100);
/// Of so many calls that are only worth a thread that is awake, one wakes a thread, to find out whether the next comes in time.
const TRIAL: usize = 16;

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
    /// How often the state has changed.
    version: AtomicUsize,
    changed: Condvar,
    /// Whether it has no work and looks out for some.
    awake: AtomicBool,
}

/// A lock whose content is right whatever panicked: it is only ever replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many helpers would begin at once; now and then one that sleeps is counted.
#[must_use]
pub fn awake() -> usize {
    static MISSED: AtomicUsize = AtomicUsize::new(0);
    let is_awake = |helper: &&Arc<Helper>| helper.awake.load(Ordering::Relaxed);
    let awake = idle().map_or(0, |idle| idle.1.iter().filter(is_awake).count());
    if awake == 0 { usize::from(is_due(&MISSED)) } else { awake }
}

/// Whether a sleeping thread is to be woken for a call that is not worth it.
fn is_due(missed: &AtomicUsize) -> bool {
    missed.fetch_add(1, Ordering::Relaxed) % TRIAL == TRIAL - 1
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
            helper.change(&mut lock(&helper.state), State::Given(task));
            return Some(helper);
        }
        let helper = Arc::new(Self::new(State::Given(task)));
        let own = Arc::clone(&helper);
        std::thread::Builder::new().name("tei".into()).spawn(move || own.serve()).ok().map(|_| helper)
    }

    fn new(state: State) -> Self {
        let (version, awake) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { state: Mutex::new(state), version, changed: Condvar::new(), awake }
    }

    /// Replaces the state, and has those that wait look at it.
    fn change(&self, state: &mut State, new: State) -> State {
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
        std::mem::replace(state, new)
    }

    /// Waits for the state to change, at first awake; whether that took too long.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, bool) {
        let (version, start) = (self.version.load(Ordering::Acquire), Instant::now());
        drop(state);
        while self.version.load(Ordering::Acquire) == version && start.elapsed() < AWAKE {
            (0..8).for_each(|_| std::hint::spin_loop());
        }
        let state = lock(&self.state);
        if self.version.load(Ordering::Acquire) != version {
            return (state, false);
        }
        self.awake.store(false, Ordering::Relaxed);
        let (state, waited) = self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
        (state, waited.timed_out())
    }

    /// Takes the task back or waits until it is done, and lets the helper go; the panic of the task.
    fn release(self: Arc<Self>) -> Option<Panic> {
        let mut state = lock(&self.state);
        while let State::Working = *state {
            state = self.wait(state).0;
        }
        let mut idle = idle();
        let next = if idle.is_some() { State::Waiting } else { State::Dismissed };
        let before = self.change(&mut state, next);
        if let Some(idle) = &mut idle {
            idle.1.push(Arc::clone(&self));
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
                        self.change(&mut state, State::Done(panic));
                    }
                }
                State::Dismissed => return,
                _ => {
                    self.awake.store(true, Ordering::Relaxed);
                    let (now, late) = self.wait(state);
                    state = now;
                    if late && matches!(*state, State::Waiting) {
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
    fn whoever_waits_is_awake_for_a_moment() {
        let helper = Arc::new(Helper::new(State::Waiting));
        let own = Arc::clone(&helper);
        let served = std::thread::spawn(move || own.serve());
        let is_awake = || helper.awake.load(Ordering::Relaxed);
        let soon = |wanted: bool, then: &dyn Fn()| {
            assert!((0..5_000).any(|_| {
                then();
                std::thread::sleep(Duration::from_micros(50));
                is_awake() == wanted
            }));
        };
        soon(true, &|| drop(helper.change(&mut lock(&helper.state), State::Waiting)));
        soon(false, &|| {});
        helper.change(&mut lock(&helper.state), State::Dismissed);
        assert!(served.join().is_ok());
    }

    #[test]
    fn now_and_then_a_sleeping_helper_is_due() {
        let missed = AtomicUsize::new(0);
        let due: Vec<_> = (1..=50).filter(|_| is_due(&missed)).collect();
        assert_eq!(due, [16, 32, 48]);
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
