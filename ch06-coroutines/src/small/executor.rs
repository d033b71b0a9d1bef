// ANCHOR: head
//! An executor: it polls futures on one thread. A *task* is a future that nothing
//! awaits: the executor polls a task whenever the task's waker was called.
//!
//! Left out are tasks whose results can be awaited, and two tasks that wait for one
//! descriptor.

use super::reactor::Reactor;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::mem;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

// ANCHOR_END: head
// ANCHOR: waker
/// The tasks that were woken, by their identities.
#[derive(Default)]
struct RunQueue {
    ids: VecDeque<u64>,
    /// Whether the executor waits in its reactor, or is about to.
    is_asleep: bool,
}

/// The run queue, which wakers on every thread share, and the pipe by which they end
/// the executor's sleep.
struct Shared {
    run_queue: Mutex<RunQueue>,
    pipe: PipeWriter,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, RunQueue> {
        // No thread panics while it holds the lock, so the queue is intact.
        self.run_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waker of one task. It may outlive its task; a wake-up then has no effect.
struct TaskWaker {
    id: u64,
    shared: Arc<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut run_queue = self.shared.lock();
        run_queue.ids.push_back(self.id);
        if run_queue.is_asleep {
            run_queue.is_asleep = false;
            // The pipe has room, because at most one byte is written for each sleep.
            let _ = (&self.shared.pipe).write(b"!");
        }
    }
}

// ANCHOR_END: waker
// ANCHOR: run
/// The executor of one thread, with its tasks.
pub struct Executor {
    shared: Arc<Shared>,
    /// The tasks by identity, except the running one. No identity is used twice.
    tasks: RefCell<HashMap<u64, Task>>,
    last_id: Cell<u64>,
    reactor: RefCell<Reactor>,
    /// For each identity, the waker to call when the reactor reports it.
    wakers: RefCell<HashMap<u64, Waker>>,
    pipe: PipeReader,
}

/// A task: a future, and the waker that the future receives at each poll.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

/// The reactor's identity for the pipe by which other threads end a sleep.
const PIPE: u64 = 0;

impl Executor {
    /// Returns an executor without tasks.
    ///
    /// # Errors
    ///
    /// Those of pipe(2), epoll_create1(2) and epoll_ctl(2).
    pub fn new() -> io::Result<Executor> {
        let (read, write) = io::pipe()?;
        let reactor = Reactor::new()?;
        reactor.watch(&read, PIPE)?;
        Ok(Executor {
            shared: Arc::new(Shared { run_queue: Mutex::default(), pipe: write }),
            tasks: RefCell::default(),
            last_id: Cell::new(PIPE),
            reactor: RefCell::new(reactor),
            wakers: RefCell::default(),
            pipe: read,
        })
    }

    fn next_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// Creates a task, which is polled in the next round of the run queue.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let id = self.next_id();
        let shared = Arc::clone(&self.shared);
        let waker = Waker::from(Arc::new(TaskWaker { id, shared }));
        waker.wake_by_ref();
        let task = Task { future: Box::pin(future), waker };
        self.tasks.borrow_mut().insert(id, task);
    }

    /// Polls tasks until the last one has ended.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::wait`].
    pub fn run(&self) -> io::Result<()> {
        loop {
            // One round: a task that is woken meanwhile is polled in the next round.
            let round = mem::take(&mut self.shared.lock().ids);
            for id in round {
                let task = self.tasks.borrow_mut().remove(&id);
                let Some(mut task) = task else { continue }; // it has ended
                let mut context = Context::from_waker(&task.waker);
                let poll = || task.future.as_mut().poll(&mut context);
                // A panic ends this task only. The panic's message has been printed.
                if let Ok(Poll::Pending) = catch_unwind(AssertUnwindSafe(poll)) {
                    self.tasks.borrow_mut().insert(id, task);
                }
            }
            if self.tasks.borrow().is_empty() {
                return Ok(());
            }
            for id in self.wait()? {
                let waker = self.wakers.borrow_mut().remove(&id);
                waker.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Returns the identities that the reactor reports. Unless a task was woken, waits
    /// for a report first.
    fn wait(&self) -> io::Result<Vec<u64>> {
        let may_sleep = {
            let mut run_queue = self.shared.lock();
            run_queue.is_asleep = run_queue.ids.is_empty();
            run_queue.is_asleep
        };
        let ids = self.reactor.borrow_mut().wait(may_sleep)?;
        let was_woken = !mem::take(&mut self.shared.lock().is_asleep);
        if may_sleep && was_woken {
            (&self.pipe).read_exact(&mut [0])?;
        }
        Ok(ids)
    }

    /// Wakes every task except the running one.
    pub fn wake_all(&self) {
        self.tasks.borrow().values().for_each(|task| task.waker.wake_by_ref());
    }
}

// ANCHOR_END: run
// ANCHOR: yield
/// Lets all other tasks that were woken run first.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// ANCHOR_END: yield
// ANCHOR: sleep
/// A future that is ready at a given time.
pub struct Sleep {
    executor: Rc<Executor>,
    end: Instant,
    id: u64,
}

impl Sleep {
    /// Returns a future that is ready at the time `end`.
    pub fn until(executor: &Rc<Executor>, end: Instant) -> Sleep {
        Sleep { executor: Rc::clone(executor), end, id: executor.next_id() }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.end {
            return Poll::Ready(());
        }
        self.executor.reactor.borrow_mut().set_deadline(self.end, self.id);
        self.executor.wake_at(self.id, context);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.executor.reactor.borrow_mut().clear_deadline(self.end, self.id);
        self.executor.forget(self.id);
    }
}

impl Executor {
    /// Stores the task's waker, to be called at the reactor's next report of `id`.
    fn wake_at(&self, id: u64, context: &Context<'_>) {
        let waker = context.waker().clone();
        let old = self.wakers.borrow_mut().insert(id, waker);
        // The destructor of a waker may be foreign code, which may use the executor. So
        // the old waker is dropped after the borrow of `wakers` has ended.
        drop(old);
    }

    fn forget(&self, id: u64) {
        let old = self.wakers.borrow_mut().remove(&id);
        drop(old);
    }
}

// ANCHOR_END: sleep
// ANCHOR: watched
/// A non-blocking descriptor whose operations are futures.
pub struct Watched<D> {
    executor: Rc<Executor>,
    descriptor: D,
    id: u64,
}

impl<D: AsFd> Watched<D> {
    /// Makes the reactor watch a descriptor.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::watch`].
    pub fn new(executor: &Rc<Executor>, descriptor: D) -> io::Result<Watched<D>> {
        let id = executor.next_id();
        executor.reactor.borrow().watch(&descriptor, id)?;
        Ok(Watched { executor: Rc::clone(executor), descriptor, id })
    }

    /// Tries an operation until it no longer fails with `WouldBlock`, and suspends the
    /// task between the attempts.
    ///
    /// # Errors
    ///
    /// Those of the operation, except `WouldBlock`.
    pub async fn attempt<T>(
        &self,
        mut operation: impl FnMut(&D) -> io::Result<T>,
    ) -> io::Result<T> {
        poll_fn(|context| match operation(&self.descriptor) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.executor.wake_at(self.id, context);
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
        .await
    }
}

impl<D> Drop for Watched<D> {
    fn drop(&mut self) {
        self.executor.forget(self.id);
    }
}

// ANCHOR_END: watched
// ANCHOR: until
/// Returns the output of `future`, or `None` if `end` is ready first. The slower of the
/// two futures is dropped.
pub async fn until<T>(end: impl Future, future: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut future) = (pin!(end), pin!(future));
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        end.as_mut().poll(context).map(|_| None)
    })
    .await
}
// ANCHOR_END: until

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::{thread, time::Duration};

    #[test]
    fn another_thread_ends_the_sleep() {
        let executor = Executor::new().expect("a pipe and an epoll");
        let (is_done, mut has_begun) = (Arc::new(AtomicBool::new(false)), false);
        executor.spawn(poll_fn(move |context| {
            if !mem::replace(&mut has_begun, true) {
                let (is_done, waker) = (is_done.clone(), context.waker().clone());
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(100));
                    is_done.store(true, SeqCst);
                    waker.wake();
                });
            }
            if is_done.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        }));
        executor.run().expect("an epoll"); // returns when the task has ended
    }

    #[test]
    fn the_earlier_one_wins() {
        let executor = Rc::new(Executor::new().expect("a pipe and an epoll"));
        let order = Rc::new(RefCell::new(Vec::new()));
        for milliseconds in [300, 100] {
            let (task, order) = (executor.clone(), order.clone());
            executor.spawn(async move {
                let now = Instant::now();
                let end = Sleep::until(&task, now + Duration::from_millis(200));
                let time = Duration::from_millis(milliseconds);
                let won = until(end, Sleep::until(&task, now + time)).await.is_some();
                order.borrow_mut().push((milliseconds, won));
            });
        }
        executor.run().expect("an epoll");
        assert_eq!(*order.borrow(), [(100, true), (300, false)]);
    }
}
// ANCHOR_END: tests
