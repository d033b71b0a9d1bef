//! [`Runtime`] runs the tasks of one thread; through a [`Handle`] a task spawns others,
//! sleeps, and registers descriptors.

use super::future::{Sleep, sleep};
use super::reactor::{Descriptor, Reactor};
use super::scheduler::{OnDrop, Scheduler, Task, Turn};
use super::waker::Woken;
use crate::stack::StackPool;
use ch01_blocking::server::unwind;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use std::{io, thread};

/// The tasks, descriptors and timers of one thread. Dropping the runtime ends its tasks:
/// suspended coroutines are unwound, and futures are dropped.
///
/// The example of [`run_coroutine`](Runtime::run_coroutine) uses coroutines. This one uses
/// futures, which need no stacks and no `unsafe`. The first future spawns a second one, which
/// prints while the first one sleeps:
///
/// ```
/// use ch04_select_poll::poll::Poll;
/// use ch06_coroutines::Runtime;
/// use std::time::{Duration, Instant};
///
/// let runtime = Runtime::new(Box::new(Poll::default()))?;
/// let result = runtime.run_future(|handle| async move {
///     handle.spawn_future(async { println!("meanwhile") });
///     handle.sleep_until(Instant::now() + Duration::from_millis(1)).await;
///     42
/// })?;
/// assert_eq!(result.expect("no panic"), 42);
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    handle: Handle,
}

impl Runtime {
    /// Creates a runtime for futures, without stacks for coroutines.
    ///
    /// # Errors
    ///
    /// The error of the poller, or of pipe(2) if no descriptors are left.
    pub fn new(poller: Box<dyn Poller>) -> io::Result<Runtime> {
        Ok(Runtime { handle: Handle(Reactor::new(poller, None)?) })
    }

    /// Creates a runtime for coroutines and futures.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Runtime::new).
    pub fn with_stacks(
        poller: Box<dyn Poller>,
        stacks: StackPool,
    ) -> io::Result<Runtime> {
        Ok(Runtime { handle: Handle(Reactor::new(poller, Some(stacks))?) })
    }

    /// Runs a first coroutine, and all tasks that are spawned meanwhile, until the first coroutine
    /// has ended. Returns its value, or the payload of its panic.
    ///
    /// # Errors
    ///
    /// The poller fails; no stack is available; or every task waits, and nothing is left that could
    /// wake one ([`ErrorKind::Deadlock`](io::ErrorKind::Deadlock)).
    ///
    /// # Panics
    ///
    /// Panics if the closure is larger than a quarter of a stack.
    ///
    /// # Safety
    ///
    /// The contract is that of [`Handle::spawn_coroutine`].
    ///
    /// # Examples
    ///
    /// ```
    /// use ch04_select_poll::poll::Poll;
    /// use ch06_coroutines::{Runtime, StackPool};
    /// use std::time::Duration;
    ///
    /// let stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    /// let runtime = Runtime::with_stacks(Box::new(Poll::default()), stacks)?;
    /// let body = |handle: &ch06_coroutines::Handle| {
    ///     // SAFETY: the closure uses no thread-local.
    ///     let slow = unsafe {
    ///         handle.spawn_coroutine(|handle| {
    ///             handle.sleep(Duration::from_millis(1)); // the thread is free meanwhile
    ///             42
    ///         })
    ///     };
    ///     slow.expect("a stack").join().expect("no panic")
    /// };
    /// // SAFETY: `body` uses no thread-local.
    /// let result = unsafe { runtime.run_coroutine(body) }?;
    /// assert_eq!(result.expect("no panic"), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[allow(unsafe_code)]
    pub unsafe fn run_coroutine<T: 'static>(
        self,
        first: impl FnOnce(&Handle) -> T + 'static,
    ) -> io::Result<thread::Result<T>> {
        // SAFETY: the caller promises that no body suspends in a thread-local's
        // initializer or destructor, as `spawn_coroutine` demands.
        let first = unsafe { self.handle.spawn_coroutine(first) }?;
        self.run(&first.result)
    }

    /// Polls a first future, and runs all tasks that are spawned meanwhile, until the first future
    /// is ready. Returns its output, or the payload of its panic.
    ///
    /// # Errors
    ///
    /// The poller fails; or every task waits, and nothing is left that could wake one
    /// ([`ErrorKind::Deadlock`](io::ErrorKind::Deadlock)).
    pub fn run_future<T: 'static, F: Future<Output = T> + 'static>(
        self,
        first: impl FnOnce(Handle) -> F,
    ) -> io::Result<thread::Result<T>> {
        let result = Outcome::default();
        let (put, first) = (result.clone(), first(self.handle.clone()));
        let first = Box::pin(async move {
            let mut first = pin!(first);
            let caught =
                poll_fn(|context| match unwind::catch(|| first.as_mut().poll(context)) {
                    Ok(polled) => polled.map(Ok),
                    Err(panic) => Poll::Ready(Err(panic)),
                });
            put.replace(Some(caught.await));
        });
        let task = self.handle.add(Task::Future(first));
        self.handle.enqueue(Turn::Run(task));
        self.run(&result)
    }

    fn run<T>(&self, first: &Outcome<T>) -> io::Result<thread::Result<T>> {
        let reactor = &self.handle.0;
        let has_ended = || first.borrow().is_some();
        reactor.scheduler.run(&has_ended, &mut |timeout| reactor.wait(timeout))?;
        Ok(first.take().unwrap_or_else(|| unreachable!("it has ended")))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.handle.end();
    }
}

/// A reference through which a runtime's tasks use the runtime. It dereferences to the
/// [`Scheduler`], whose methods it therefore has, too.
#[derive(Clone)]
pub struct Handle(Rc<Reactor>);

impl Deref for Handle {
    type Target = Scheduler;

    fn deref(&self) -> &Scheduler {
        &self.0.scheduler
    }
}

impl Handle {
    // ANCHOR: spawn
    /// Spawns a coroutine, and puts it at the end of the run queue. Returns a handle to
    /// wait for the coroutine's end.
    ///
    /// # Errors
    ///
    /// No stack is available, or the runtime has ended.
    ///
    /// # Panics
    ///
    /// If the closure is larger than a quarter of a stack.
    ///
    /// # Safety
    ///
    /// The body, and all functions that it calls, must not suspend in an initializer or
    /// a destructor of a thread-local variable: the first part of the contract of
    /// [`Coroutine::new`](crate::Coroutine::new). The runtime keeps the second part,
    /// because none of its coroutines outlives it.
    #[allow(unsafe_code)]
    pub unsafe fn spawn_coroutine<T: 'static>(
        &self,
        body: impl FnOnce(&Handle) -> T + 'static,
    ) -> io::Result<Join<T>> {
        let result: Outcome<T> = Rc::default();
        let waiter: Rc<Cell<Option<Token>>> = Rc::default();
        let (handle, put, wake) = (self.clone(), result.clone(), waiter.clone());
        let body = move || {
            let _ended = OnDrop(|| {
                put.borrow_mut().get_or_insert_with(|| Err(Box::new("it was unwound")));
                wake.take().into_iter().for_each(|task| handle.wake(task));
            });
            let ended = unwind::catch(|| body(&handle));
            put.replace(Some(ended));
        };
        // SAFETY: the caller promises that the body does not suspend in a
        // thread-local's initializer or destructor, as `add_coroutine` demands.
        let task = unsafe { self.add_coroutine(body) }?;
        self.enqueue(Turn::Run(task));
        Ok(Join { task, result, waiter, reactor: self.0.clone() })
    }

    /// Spawns a future, and puts it at the end of the run queue. After the runtime's
    /// end, the future is dropped instead.
    pub fn spawn_future(&self, future: impl Future<Output = ()> + 'static) {
        if !self.is_over() {
            self.enqueue(Turn::Run(self.add(Task::Future(Box::pin(future)))));
        }
    }
    // ANCHOR_END: spawn

    /// Registers a descriptor, which must be non-blocking, with the runtime's poller.
    ///
    /// # Errors
    ///
    /// The poller's error; the descriptor is then closed.
    pub fn register<F: AsFd>(
        &self,
        fd: F,
        interest: Interest,
    ) -> io::Result<Descriptor<F>> {
        Descriptor::new(fd, interest, &self.0)
    }

    /// Parks the running coroutine for `time`, or until the runtime ends.
    ///
    /// # Panics
    ///
    /// Panics where [`park`](Scheduler::park) does.
    pub fn sleep(&self, time: Duration) {
        // `time` begins now, and not at the beginning of the round of the run queue (`self.now()`),
        // which may be a while ago.
        let until = ch01_blocking::deadlines::later(Instant::now(), time);
        while self.now() < until && self.park(Some(until)) == Woken::Notified {}
    }

    /// Returns a future that is ready at the time `at`.
    pub fn sleep_until(&self, at: Instant) -> Sleep<'_> {
        sleep(self, at)
    }

    /// Returns a waker of the running task. The waker can be kept as long as needed, and used on
    /// any thread; after the end of the task or of the runtime, it does nothing.
    ///
    /// # Panics
    ///
    /// If no task of this runtime is running, unless the runtime has ended.
    pub fn waker(&self) -> Waker {
        match self.current() {
            Some(task) => self.waker_of(task),
            // A destructor that runs while the runtime ends may call this function.
            None if self.is_over() => Waker::noop().clone(),
            None => panic!("only a task can be woken"),
        }
    }
}

/// The value that a task has returned, or the payload of its panic; `None` until the task
/// ends.
type Outcome<T> = Rc<RefCell<Option<thread::Result<T>>>>;

/// A handle to a spawned coroutine, to wait for its end and get its value.
///
/// Dropping the handle does not end the coroutine, whose value is then lost.
pub struct Join<T> {
    task: Token,
    result: Outcome<T>,
    /// The task that waits for the coroutine's end; `None` while no task waits.
    waiter: Rc<Cell<Option<Token>>>,
    reactor: Rc<Reactor>,
}

impl<T> Join<T> {
    /// Returns the coroutine's token, by which [`wake`](Scheduler::wake) can wake it.
    pub fn task(&self) -> Token {
        self.task
    }

    // ANCHOR: join
    /// Parks the calling coroutine until the spawned one has ended. Returns the value
    /// of the spawned coroutine.
    ///
    /// # Errors
    ///
    /// The payload of the coroutine's panic, or a message if the coroutine was unwound
    /// or the runtime has ended.
    ///
    /// # Panics
    ///
    /// Panics where [`park`](Scheduler::park) does.
    pub fn join(self) -> thread::Result<T> {
        let scheduler = &self.reactor.scheduler;
        loop {
            if let Some(result) = self.result.take() {
                return result;
            }
            if scheduler.is_over() {
                return Err(Box::new("the runtime has ended"));
            }
            // The spawned coroutine cannot end between the check of `result` and the
            // park: no other task runs in between.
            self.waiter.set(Some(scheduler.running_coroutine()));
            scheduler.park(None);
        }
    }
    // ANCHOR_END: join
}
