//! The scheduler: the coroutines of one thread, and the one place where the thread waits.
//!
//! ```text
//!                 ┌───────────── run queue ◄──────────┬──────────────────┐
//!                 ▼                                   │ ready            │ yield
//!   spawn ──► resume ──► … runs … ──► park ──► Poller::wait, Timers      │
//!                             │                                          │
//!                             ├──────────────────────────────────────────┘
//!                             └──► ends: its stack is the next one's
//! ```
//!
//! A coroutine runs until it parks, yields or ends; nobody takes the thread from it. So
//! between two of these nothing else happens on the thread, and most of what threads need
//! locks for needs none here.
//!
//! ```
//! use ch04_select_poll::poll::Poll;
//! use ch06_coroutines::{Scheduler, Stacks};
//! use std::time::Duration;
//!
//! let stacks = Stacks::new(Stacks::DEFAULT_SIZE)?;
//! let scheduler: Scheduler<Poll> = Scheduler::new(Poll::default(), stacks);
//! let came_to = scheduler.run(|handle| {
//!     let slow = handle.spawn(|handle| {
//!         handle.sleep(Duration::from_millis(1)); // the thread is free meanwhile
//!         42
//!     });
//!     slow.expect("a stack").join().expect("no panic")
//! })?;
//! assert_eq!(came_to.expect("no panic"), 42);
//! # std::io::Result::Ok(())
//! ```

mod handle;
mod nobody;

pub use handle::Handle;
pub use nobody::Nobody;

use crate::context::bottom::drop_quietly;
use crate::coroutine::{Coroutine, Resumed};
use crate::injector::Injector;
use crate::reactor::{Reactor, Resting, Scraps};
use crate::run_queue::Turn;
use crate::stack::{Stack, Stacks};
use crate::task::{Ends, State, Task, Woken};
use ch01_blocking::server::trace;
use ch03_nonblocking::poller::{Poller, Token};
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers;
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// Who rests at a descriptor, and needs a coroutine only when there is something to read.
pub trait Dormant: Resting + 'static {
    /// There may be something to read, or its deadline may have passed. Runs on a stack of
    /// its own.
    fn begin(self);

    /// No stack was to be had.
    fn no_stack(self, why: io::Error);
}

/// The coroutines of one thread. They end with it: who is still suspended then is unwound.
pub struct Scheduler<P: Poller + 'static, D: Dormant = Nobody> {
    handle: Handle<P, D>,
}

/// What all handles share.
pub(crate) struct Core<P, D> {
    /// Borrowed for a moment at a time, and never while a coroutine runs.
    state: RefCell<Inner<P, D>>,
    /// When this round began.
    now: Cell<Instant>,
    /// How other threads wake somebody here: made when the first waits for another thread.
    injector: OnceCell<Injector<P, D>>,
}

struct Inner<P, D> {
    reactor: Reactor<P, D, Token>,
    tasks: Table<Task>,
    /// Deadlines of the parked, by their places.
    alarms: Timers,
    current: Option<Token>,
    stacks: Stacks,
    spawned: u64,
    /// The end has come: nobody begins any more.
    over: bool,
}

impl<P: Poller + 'static, D: Dormant> Scheduler<P, D> {
    /// A scheduler that has nobody yet.
    pub fn new(poller: P, stacks: Stacks) -> Scheduler<P, D> {
        let now = Instant::now();
        let state = RefCell::new(Inner {
            reactor: Reactor::new(poller, now),
            tasks: Table::new(),
            alarms: Timers::new(now),
            current: None,
            stacks,
            spawned: 0,
            over: false,
        });
        Scheduler {
            handle: Handle(Rc::new(Core {
                state,
                now: Cell::new(now),
                injector: OnceCell::new(),
            })),
        }
    }

    // ANCHOR: run
    /// Runs a first coroutine, and all that it spawns, until the first has ended. An error
    /// is the poller's, or says that nobody is left who could wake anybody.
    pub fn run<T: 'static>(
        self,
        first: impl FnOnce(&Handle<P, D>) -> T + 'static,
    ) -> io::Result<thread::Result<T>> {
        let Handle(core) = &self.handle;
        let first = self.handle.spawn(first)?.packet;
        let (mut scraps, mut woken) = (Scraps::default(), Vec::new());
        loop {
            core.begin_round();
            while let Some(turn) = core.next() {
                match turn {
                    Turn::Resume(token) => core.resume(token),
                    Turn::Begin(source) => self.handle.begin_called(source),
                }
                if first.ended.get()
                    && let Some(result) = first.take()
                {
                    return Ok(result);
                }
            }
            core.wait(&mut scraps, &mut woken)?;
        }
    }
    // ANCHOR_END: run
}

impl<P: Poller, D: Dormant> Core<P, D> {
    fn begin_round(&self) {
        self.state.borrow_mut().reactor.queue.begin_round();
    }

    fn next(&self) -> Option<Turn> {
        self.state.borrow_mut().reactor.queue.next()
    }

    // ANCHOR: resume
    /// Lets a coroutine run until it parks, yields or ends.
    fn resume(&self, token: Token) {
        let mut state = self.state.borrow_mut();
        let Some(task) = state.tasks.get_mut(token) else { return };
        if task.state != State::Queued {
            return; // a turn too many
        }
        let Some(mut coroutine) = task.coroutine.take() else { return };
        task.state = State::Running;
        trace::set_connection(task.number);
        state.current = Some(token);
        drop(state); // what runs now may use the scheduler
        let resumed = coroutine.resume();
        let mut state = self.state.borrow_mut();
        state.current = None;
        let how = match resumed {
            Resumed::Suspended => {
                if let Some(task) = state.tasks.get_mut(token) {
                    task.coroutine = Some(coroutine);
                }
                return;
            }
            Resumed::Finished => Ok(()),
            Resumed::Panicked(panic) => Err(panic), // it has cost this coroutine, and no other
        };
        let ends = state.tasks.remove(token).and_then(|task| task.ends);
        state.stacks.give_back(coroutine.into_stack());
        drop(state);
        self.ended(ends, how);
    }
    // ANCHOR_END: resume

    /// Whoever waits for this end is told.
    fn ended(&self, ends: Option<Rc<dyn Ends>>, how: Result<(), Box<dyn Any + Send>>) {
        let Some(ends) = ends else { return drop_quietly(how) };
        let waiter = ends.ended(how);
        drop_quietly(ends); // and what it came to, if nobody wants to know
        if let Some(waiter) = waiter {
            self.state.borrow_mut().wake(waiter, Woken::Up);
        }
    }

    // ANCHOR: poll
    /// Asks the poller who is ready. If somebody is queued, without waiting.
    fn wait(&self, scraps: &mut Scraps, woken: &mut Vec<Token>) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        let timeout = if state.reactor.queue.is_empty() {
            let next = [state.alarms.next(), state.reactor.next_deadline()];
            let next = next.into_iter().flatten().min();
            if next.is_none() && state.reactor.is_empty() {
                return Err(io::Error::new(
                    ErrorKind::Deadlock,
                    "every coroutine waits, and nothing is left that could wake one",
                ));
            }
            next.map(|at| at.saturating_duration_since(self.now.get()))
        } else {
            Some(Duration::ZERO)
        };
        let now = state.reactor.wait(timeout, scraps, woken)?;
        self.now.set(now);
        for token in woken.drain(..) {
            state.wake(token, Woken::Up);
        }
        state.alarms.expired(now, &mut scraps.late);
        for index in scraps.late.drain(..) {
            if let Some(token) = state.tasks.token(index) {
                state.wake(token, Woken::TimedOut);
            }
        }
        Ok(())
    }
    // ANCHOR_END: poll

    /// Gives a coroutine its place. It is not in the run queue yet. A body that is too large
    /// for its stack panics, and is dropped: so nothing is borrowed meanwhile.
    fn add(
        &self,
        stack: Stack,
        number: u64,
        ends: Option<Rc<dyn Ends>>,
        body: impl FnOnce() + 'static,
    ) -> Token {
        let spawned = {
            let state = &mut *self.state.borrow_mut();
            state.spawned += 1;
            state.spawned
        };
        let id = if number > 0 { number } else { spawned };
        let coroutine = Some(Coroutine::new(stack, id, body));
        let task =
            Task { coroutine, number, state: State::Queued, woken: Woken::Up, ends };
        self.state.borrow_mut().tasks.insert(task)
    }
}

impl<P: Poller, D: Dormant> Inner<P, D> {
    // ANCHOR: wake
    /// Puts a parked coroutine into the run queue. One that is there already, or runs, or
    /// has ended, need not be told.
    fn wake(&mut self, token: Token, why: Woken) {
        let Some(task) = self.tasks.get_mut(token) else { return };
        let State::Parked { timed } = task.state else { return };
        (task.state, task.woken) = (State::Queued, why);
        if timed {
            self.alarms.clear(token.index);
        }
        self.reactor.queue.push(Turn::Resume(token));
    }
    // ANCHOR_END: wake
}

// ANCHOR: shutdown
impl<P: Poller + 'static, D: Dormant> Drop for Scheduler<P, D> {
    /// Unwinds who is suspended, as a panic would: what they own is dropped in order.
    fn drop(&mut self) {
        let Handle(core) = &self.handle;
        core.state.borrow_mut().over = true;
        let tokens = core.state.borrow().tasks.tokens();
        for token in tokens {
            let task = core.state.borrow_mut().tasks.remove(token);
            // Not while the state is borrowed: what is dropped there may use it.
            let stack = task.and_then(|task| Some(task.coroutine?.into_stack()));
            if let Some(stack) = stack {
                core.state.borrow_mut().stacks.give_back(stack);
            }
        }
        let resting = core.state.borrow_mut().reactor.take_resting();
        resting.into_iter().for_each(drop_quietly);
        core.state.borrow_mut().reactor.queue.clear();
    }
}
// ANCHOR_END: shutdown
