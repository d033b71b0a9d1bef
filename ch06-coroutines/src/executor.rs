//! The executor: the futures of one thread, and the one place where the thread waits.
//!
//! ```text
//!                 ┌──────────── run queue ◄───────────┬─────────────────┐
//!                 ▼                                   │ Waker::wake     │
//!   spawn ──►  Future::poll ──► Pending ──► Poller::wait, Alarms        │
//!                    │                                                  │
//!                    │   woken meanwhile ───────────────────────────────┘
//!                    └──► Ready: it is dropped
//! ```
//!
//! Lay it beside the [`scheduler`](crate::scheduler). There a coroutine has a stack, is
//! resumed, and parks wherever it likes; here a task is a value, is polled, and says
//! `Pending` when it has to wait. Whoever it waits for has its waker.
//!
//! ```
//! use ch04_select_poll::poll::Poll;
//! use ch06_coroutines::Executor;
//! use std::time::{Duration, Instant};
//!
//! let executor: Executor<'_, Poll> = Executor::new(Poll::default())?;
//! let came_to = executor.run(|spawner| async move {
//!     spawner.spawn(async { println!("meanwhile") });
//!     spawner.sleep(Instant::now() + Duration::from_millis(1)).await;
//!     42
//! })?;
//! assert_eq!(came_to.expect("no panic"), 42);
//! # std::io::Result::Ok(())
//! ```

mod spawner;

pub use spawner::{Spawner, yield_now};

use crate::alarms::Alarms;
use crate::context::bottom::{drop_quietly, quietly};
use crate::injector::{Receiver, silence};
use crate::reactor::{Reactor, Resting, Scraps};
use crate::run_queue::Turn;
use crate::scheduler::Nobody;
use crate::source::{Descriptor, Until};
use crate::waker::{Bell, Here, Post, Signal};
use ch01_blocking::server::trace::{self, trace};
use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch03_nonblocking::table::Table;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// A future in a box: its place in memory is fixed, and all have the same type.
pub type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Who rests at a descriptor, and needs a future only when there is something to read.
pub trait Begins<'a>: Resting {
    /// There may be something to read, or its deadline may have passed.
    fn begin(self) -> Boxed<'a>;
}

/// The futures of one thread, which may borrow what lives longer than it (`'a`). They end
/// with it: who is not ready then is dropped.
pub struct Executor<'a, P: Poller + 'a, D: Begins<'a> + 'a = Nobody> {
    spawner: Spawner<'a, P, D>,
    /// Where others ring.
    bell: Option<File>,
}

/// What all spawners share. Each cell is borrowed for a moment at a time, and never while a
/// future is polled or dropped.
pub(crate) struct Core<'a, P, D> {
    reactor: RefCell<Reactor<P, D, Waker>>,
    tasks: RefCell<Table<Task<'a>>>,
    alarms: RefCell<Alarms>,
    /// Of tasks that have ended.
    spare: RefCell<Vec<Arc<Signal>>>,
    post: Arc<Post>,
    /// When this round began.
    now: Cell<Instant>,
    /// The end has come: nobody begins any more.
    over: Cell<bool>,
}

/// Bytes of a task's place in the executor's table. Its future and what its wakers share lie
/// elsewhere.
pub const TASK: usize = Table::<Task<'_>>::PLACE;

/// So many signals are kept for the next tasks.
const KEPT: usize = 64;

// ANCHOR: task
/// A future, and what its executor knows of it.
struct Task<'a> {
    /// Not here while it is polled.
    future: Option<Boxed<'a>>,
    /// What its wakers wake.
    signal: Option<Arc<Signal>>,
    /// The connection that it is about, for the trace; 0 for none.
    number: u64,
}
// ANCHOR_END: task

impl<'a, P: Poller + 'a, D: Begins<'a> + 'a> Executor<'a, P, D> {
    /// An executor that has nobody yet.
    /// An error means that there are no descriptors left for
    /// its bell, a pipe.
    pub fn new(poller: P) -> io::Result<Executor<'a, P, D>> {
        Ok(Executor::with_bell(poller, Bell::new()?))
    }

    /// The same, with a bell that there is already.
    pub(crate) fn with_bell(poller: P, Bell { bell, rope }: Bell) -> Executor<'a, P, D> {
        let now = Instant::now();
        let core = Core {
            reactor: RefCell::new(Reactor::new(poller, now)),
            tasks: RefCell::default(),
            alarms: RefCell::new(Alarms::new(now)),
            spare: RefCell::default(),
            post: Arc::new(Post::new(rope)),
            now: Cell::new(now),
            over: Cell::new(false),
        };
        Executor { spawner: Spawner(Rc::new(core)), bell: Some(bell) }
    }

    // ANCHOR: run
    /// Polls a first future, and all that are spawned, until the first is ready; or says
    /// what it panicked with. An error is the poller's.
    pub fn run<T: 'a, F: Future<Output = T> + 'a>(
        mut self,
        first: impl FnOnce(Spawner<'a, P, D>) -> F,
    ) -> io::Result<thread::Result<T>> {
        let Spawner(core) = &self.spawner;
        let _here = Here::enter(&core.post);
        if let Some(bell) = self.bell.take() {
            let bell = Descriptor::new(bell, Interest::READ, &self.spawner);
            let basket = Receiver(core.post.basket.clone());
            self.spawner.spawn(listen(bell.map_err(|(_, error)| error)?, basket));
        }
        let result = Rc::new(Cell::new(None));
        let (theirs, first) = (result.clone(), first(self.spawner.clone()));
        let first = core.add(Box::pin(async move { theirs.set(Some(first.await)) }), 0);
        core.queue(first);
        let (mut scraps, mut woken) = (Scraps::default(), Vec::new());
        loop {
            core.begin_round();
            while let Some(turn) = core.next() {
                match turn {
                    Turn::Resume(task) => match core.poll(task) {
                        Some(Err(panic)) if task == first => return Ok(Err(panic)),
                        // A panic's own destructor may panic, too.
                        ended => drop_quietly(ended),
                    },
                    Turn::Begin(source) => core.begin(source),
                }
                if let Some(result) = result.take() {
                    return Ok(Ok(result));
                }
            }
            core.wait(&mut scraps, &mut woken)?;
        }
    }
    // ANCHOR_END: run
}

impl<'a, P: Poller, D: Begins<'a>> Core<'a, P, D> {
    /// All who were woken meanwhile have their turn in this round.
    fn begin_round(&self) {
        Here::take(&self.post, |task| self.queue(task));
        self.reactor.borrow_mut().queue.begin_round();
    }

    fn next(&self) -> Option<Turn> {
        self.reactor.borrow_mut().queue.next()
    }

    fn queue(&self, task: Token) {
        self.reactor.borrow_mut().queue.push(Turn::Resume(task));
    }

    /// Gives a future its place. It is not in the run queue yet, and its mark is set.
    fn add(&self, future: Boxed<'a>, number: u64) -> Token {
        let tasks = &mut *self.tasks.borrow_mut();
        let token = tasks.insert(Task { future: Some(future), signal: None, number });
        let signal = match self.spare.borrow_mut().pop() {
            Some(signal) => signal.again(token),
            None => Signal::new(token, self.post.clone()),
        };
        if let Some(task) = tasks.get_mut(token) {
            task.signal = Some(signal);
        }
        token
    }

    // ANCHOR: poll
    /// Polls a task. Says how it has ended, if it has: it is ready, or has panicked, which
    /// has cost this task and no other.
    fn poll(&self, token: Token) -> Option<thread::Result<()>> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(token)?; // or it has ended, and was woken before
        let (mut future, signal) = (task.future.take()?, task.signal.clone()?);
        trace::set_connection(task.number);
        drop(tasks); // what is polled now may use the executor
        signal.begin(); // and may be woken, and then is polled again
        let waker = Waker::from(signal);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            future.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        let ended = match polled {
            Ok(Poll::Pending) => {
                if let Some(task) = self.tasks.borrow_mut().get_mut(token) {
                    task.future = Some(future);
                }
                return None;
            }
            Ok(Poll::Ready(())) => Ok(()),
            Err(panic) => Err(panic),
        };
        drop_quietly(future);
        let task = self.tasks.borrow_mut().remove(token);
        if let Some(signal) = task.and_then(|task| task.signal) {
            signal.end();
            let spare = &mut *self.spare.borrow_mut();
            if spare.len() < KEPT {
                spare.push(signal);
            }
        }
        Some(ended)
    }
    // ANCHOR_END: poll

    // ANCHOR: begin
    /// Begins who was called: makes its future, and polls it at once.
    fn begin(&self, source: Token) {
        let called = self.reactor.borrow_mut().take_called(source);
        let Some(dormant) = called else { return };
        let number = dormant.number();
        trace::set_connection(number);
        let future = dormant.begin();
        trace!("begin", "a future of {} bytes", size_of_val(&*future));
        let task = self.add(future, number);
        drop_quietly(self.poll(task));
    }
    // ANCHOR_END: begin

    // ANCHOR: wait
    /// Asks the poller who is ready, and wakes them. If somebody is queued, without waiting.
    fn wait(&self, scraps: &mut Scraps, woken: &mut Vec<Waker>) -> io::Result<()> {
        Here::take(&self.post, |task| self.queue(task));
        let mut reactor = self.reactor.borrow_mut();
        let mut alarms = self.alarms.borrow_mut();
        let timeout = if reactor.queue.is_empty() {
            let next = [alarms.next(), reactor.next_deadline()];
            let next = next.into_iter().flatten().min();
            next.map(|at| at.saturating_duration_since(self.now.get()))
        } else {
            Some(Duration::ZERO)
        };
        let now = reactor.wait(timeout, scraps, woken)?;
        self.now.set(now);
        alarms.expired(now, &mut scraps.late, woken);
        drop((reactor, alarms)); // a waker may be anybody's, and do anything
        woken.drain(..).for_each(|waker| quietly(|| waker.wake()));
        Ok(())
    }
    // ANCHOR_END: wait
}

// ANCHOR: listen
/// Hears the bell, and queues who was woken on another thread.
async fn listen<'a, P: Poller, D: Begins<'a>>(
    bell: Descriptor<File, Spawner<'a, P, D>>,
    receiver: Receiver<Token>,
) {
    while bell.ready(Until::Readable).await.is_ok() && silence(bell.get()) {
        bell.read_would_block();
        for task in receiver.0.take() {
            bell.handle().0.queue(task);
        }
    }
}
// ANCHOR_END: listen

// ANCHOR: shutdown
impl<'a, P: Poller + 'a, D: Begins<'a> + 'a> Drop for Executor<'a, P, D> {
    /// Drops who is not ready: what they own is dropped with them. Nothing is run for that
    /// but destructors, and nothing is unwound.
    fn drop(&mut self) {
        let Spawner(core) = &self.spawner;
        core.over.set(true);
        let tokens = core.tasks.borrow().tokens();
        for token in tokens {
            let task = core.tasks.borrow_mut().remove(token);
            drop_quietly(task); // not while the tasks are borrowed
        }
        let resting = core.reactor.borrow_mut().take_resting();
        resting.into_iter().for_each(drop_quietly);
        core.reactor.borrow_mut().queue.clear();
    }
}
// ANCHOR_END: shutdown

impl<'a> Begins<'a> for Nobody {
    fn begin(self) -> Boxed<'a> {
        match self {}
    }
}
