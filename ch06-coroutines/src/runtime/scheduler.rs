//! The scheduler: which task runs next, and how one waits.
//!
//! ```text
//!                 ┌──────────── run queue ◄────────────┬─────────────────┐
//!                 ▼                                    │ wake            │ yield_now
//!    spawn ──► run_task ──► resume │ poll ──► park │ Pending             │
//!                                  │                                     │
//!                                  ├─────────────────────────────────────┘
//!                                  └──► ended: a stack is given back, a box is dropped
//! ```
//!
//! A task runs until it parks, yields or ends; nothing takes the thread from it. So between
//! two of these nothing else happens on the thread, and most of what threads need locks for
//! needs none here. It knows of no descriptors: how the thread waits is passed to
//! [`run`](Scheduler::run).

use super::remote::Inbox;
use super::timers::Timers;
use super::waker::{Signal, Waiter, Woken};
use crate::coroutine::{Coroutine, Owner, Resumed, drop_quietly, is_resumed_by};
use crate::coroutine::{quietly, suspend_for};
use crate::stack::StackPool;
use ch01_blocking::server::{trace, unwind};
use ch03_nonblocking::poller::Token;
use ch03_nonblocking::table::Table;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A future in a box: its place in memory is fixed, and all have the same type.
pub(crate) type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

// ANCHOR: task
/// What runs.
pub(crate) enum Task {
    /// A function on a stack of its own. It is resumed, and parks in the middle.
    Coroutine(Coroutine),
    /// A value. It is polled, and returns `Pending` to wait.
    Future(BoxedFuture),
}

/// A task, and what the scheduler knows of it.
struct Entry {
    /// `None` while it runs.
    task: Option<Task>,
    state: State,
    /// The connection that the trace names; 0 for none.
    number: u64,
    /// What its wakers share, if it ever needed one.
    signal: Option<Arc<Signal>>,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// On the processor.
    Running,
    /// On the processor, and woken since: it will be queued again.
    RunningWoken,
    /// In the run queue.
    Queued,
    /// Waiting to be woken.
    Parked,
}
// ANCHOR_END: task

/// Bytes of a task's place in the table. Its stack or future lies elsewhere.
pub const TASK: usize = Table::<Entry>::PLACE;

/// What the thread is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Run a task.
    Run(Token),
    /// Activate the idle connection of this source.
    Activate(Token),
}

/// Assigns the idle connection whose source has this token to a task, which the scheduler runs
/// next. Returns the task's token and the connection's number, or `None` if the connection no
/// longer exists or no task can be created.
pub(crate) type Activate = Rc<dyn Fn(Token) -> Option<(Token, u64)>>;

/// One thread's tasks. Each cell is borrowed for a moment at a time, and never while a task
/// runs.
pub struct Scheduler {
    tasks: RefCell<Table<Entry>>,
    queue: RefCell<VecDeque<Turn>>,
    /// Turns that are left of this round.
    round: Cell<usize>,
    timers: RefCell<Timers>,
    /// The task that runs.
    running: Cell<Option<Token>>,
    stacks: RefCell<Option<StackPool>>,
    activate: RefCell<Option<Activate>>,
    inbox: Arc<Inbox>,
    /// When this round began.
    now: Cell<Instant>,
    spawned: Cell<u64>,
    /// The runtime has ended: only destructors still run.
    is_over: Cell<bool>,
}

impl Scheduler {
    pub(crate) fn new(stacks: Option<StackPool>, inbox: Arc<Inbox>) -> Scheduler {
        let now = Instant::now();
        Scheduler {
            tasks: RefCell::default(),
            queue: RefCell::default(),
            round: Cell::new(0),
            timers: RefCell::new(Timers::new(now)),
            running: Cell::new(None),
            stacks: RefCell::new(stacks),
            activate: RefCell::default(),
            inbox,
            now: Cell::new(now),
            spawned: Cell::new(0),
            is_over: Cell::new(false),
        }
    }

    // ANCHOR: run
    /// Runs tasks until `has_ended`. Between two rounds, `wait` blocks until something
    /// happens, for at most the time that it is given; this is the only place where the
    /// thread waits.
    ///
    /// # Errors
    ///
    /// Those of `wait`.
    pub(crate) fn run(
        &self,
        has_ended: &dyn Fn() -> bool,
        wait: &mut dyn FnMut(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut late = Vec::new();
        loop {
            self.begin_round();
            while let Some(turn) = self.next_turn() {
                match turn {
                    Turn::Run(task) => self.run_task(task),
                    Turn::Activate(source) => self.activate(source),
                }
                if has_ended() {
                    return Ok(());
                }
            }
            wait(self.prepare_to_wait())?;
            self.inbox.claim_wakeup(); // from here other threads need not write to the pipe
            self.now.set(Instant::now());
            self.timers.borrow_mut().expire(self.now.get(), &mut late);
            late.drain(..).for_each(|waiter| self.notify(waiter));
        }
    }
    // ANCHOR_END: run

    // ANCHOR: round
    /// Begins a round: every turn that is queued now is taken. What is queued meanwhile, if
    /// only by itself, waits for the next round, and before that the poller is asked. So no
    /// task keeps the thread from the others.
    fn begin_round(&self) {
        self.inbox.take(|task| self.wake(task));
        self.round.set(self.queue.borrow().len());
    }

    /// Returns the next turn of this round.
    fn next_turn(&self) -> Option<Turn> {
        self.round.set(self.round.get().checked_sub(1)?);
        self.queue.borrow_mut().pop_front()
    }
    // ANCHOR_END: round

    /// Announces the sleep, takes the wake-ups that came before, and returns how long the thread
    /// may wait: not at all if a task is queued, forever if no timer is set.
    fn prepare_to_wait(&self) -> Option<Duration> {
        self.inbox.announce_sleep();
        self.inbox.take(|task| self.wake(task)); // a later one writes to the pipe
        self.timers.borrow_mut().end_round();
        if !self.queue.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.borrow().next()?;
        Some(next.saturating_duration_since(self.now.get()))
    }

    // ANCHOR: run_task
    /// Gives a task its turn: until it parks, yields or ends.
    fn run_task(&self, token: Token) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.get_mut(token);
        // Not every turn that is queued finds it so: see `activate`.
        let Some(entry) = entry.filter(|it| it.state == State::Queued) else { return };
        let Some(task) = entry.task.take() else { return };
        entry.state = State::Running;
        trace::set_connection(entry.number);
        if let Some(signal) = &entry.signal {
            signal.clear(); // before it runs
        }
        drop(tasks); // what runs now may use the scheduler
        self.running.set(Some(token));
        let waits = match task {
            Task::Coroutine(coroutine) => self.resume(coroutine),
            Task::Future(future) => self.poll(token, future),
        };
        self.running.set(None);
        match waits {
            Some(task) => self.put_back(token, task),
            None => drop(self.tasks.borrow_mut().remove(token)),
        }
    }
    // ANCHOR_END: run_task

    // ANCHOR: resume
    /// Resumes a coroutine. It comes back when it has suspended itself, by `park` or
    /// `yield_now`, or has ended; then its stack is the next one's.
    fn resume(&self, mut coroutine: Coroutine) -> Option<Task> {
        match coroutine.resume_as(Owner::scheduler(self)) {
            Resumed::Suspended => return Some(Task::Coroutine(coroutine)),
            Resumed::Finished => {}
            Resumed::Panicked(panic) => drop_quietly(panic), // it has cost no other task
        }
        self.give_back(coroutine);
        None
    }
    // ANCHOR_END: resume

    // ANCHOR: poll
    /// Polls a future. It comes back when `poll` has returned, and the future has kept its
    /// waker if that was `Pending`; when it has ended, its box is freed.
    fn poll(&self, token: Token, mut future: BoxedFuture) -> Option<Task> {
        let waker = self.waker_of(token);
        let context = &mut Context::from_waker(&waker);
        match unwind::catch(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Some(Task::Future(future)),
            Ok(Poll::Ready(())) => {}
            Err(panic) => drop_quietly(panic), // it has cost no other task
        }
        drop_quietly(future);
        None
    }
    // ANCHOR_END: poll

    /// Puts a task that waits back into its place, and into the run queue if it was woken
    /// while it ran, or yields.
    fn put_back(&self, token: Token, task: Task) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(entry) = tasks.get_mut(token) else { return };
        let woken = entry.state == State::RunningWoken;
        entry.task = Some(task);
        entry.state = if woken { State::Queued } else { State::Parked };
        if woken {
            self.enqueue(Turn::Run(token));
        }
    }

    // ANCHOR: park
    /// Suspends the running coroutine until [`wake`](Scheduler::wake) is called for it, or
    /// `due` has passed, or for no reason. After the runtime's end, in a destructor, it
    /// returns [`Woken::TimedOut`] at once; a loop around it asks whether it
    /// [`is_over`](Scheduler::is_over).
    ///
    /// # Panics
    ///
    /// Outside a coroutine of this runtime, or in one that something else has resumed.
    pub fn park(&self, due: Option<Instant>) -> Woken {
        if self.is_over.get() {
            return Woken::TimedOut;
        }
        let me = self.running_coroutine();
        let timer = due.map(|due| self.timers().set(Waiter::Task(me), due));
        let clear = |timer| self.clear_timer(timer); // or it has expired
        let _timer = OnDrop(|| timer.into_iter().for_each(clear));
        // A wake-up earlier in this turn is erased: the caller has looked since. Those of
        // other threads are applied between turns only.
        self.suspend(me, State::Running);
        match timer {
            Some(timer) if !self.timers().runs(timer) => Woken::TimedOut,
            _ => Woken::Notified,
        }
    }
    // ANCHOR_END: park

    // ANCHOR: wake
    /// Wakes a task that is parked: puts it into the run queue. A running task is only
    /// marked: a future is then polled once more; a coroutine that parks erases the mark,
    /// since it has looked for its event before.
    pub fn wake(&self, token: Token) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(entry) = tasks.get_mut(token) else { return };
        match entry.state {
            State::Parked => {
                entry.state = State::Queued;
                self.enqueue(Turn::Run(token));
            }
            State::Running => entry.state = State::RunningWoken,
            State::RunningWoken | State::Queued => {}
        }
    }
    // ANCHOR_END: wake

    /// Suspends the running coroutine, and lets all queued tasks run first. (A future awaits
    /// [`yield_now`](super::yield_now).)
    ///
    /// # Panics
    ///
    /// As [`park`](Scheduler::park).
    pub fn yield_now(&self) {
        if self.is_over.get() {
            return;
        }
        self.suspend(self.running_coroutine(), State::RunningWoken);
    }

    fn suspend(&self, me: Token, state: State) {
        if let Some(entry) = self.tasks.borrow_mut().get_mut(me) {
            entry.state = state;
        }
        suspend_for(Owner::scheduler(self));
    }

    /// Returns the coroutine that runs, if it is one that this has resumed.
    pub(crate) fn running_coroutine(&self) -> Token {
        match self.running.get() {
            Some(me) if is_resumed_by(Owner::scheduler(self)) => me,
            _ => panic!("a coroutine can wait only in the runtime that runs it"),
        }
    }

    /// Returns the task that runs.
    pub fn current(&self) -> Option<Token> {
        self.running.get()
    }

    /// Returns what to notify where a future waits: the running task, if it is polled with
    /// its own waker, as nearly always; otherwise the waker that it was given.
    pub(crate) fn waiter(&self, waker: &Waker) -> Waiter {
        let own = self.current().filter(|&me| self.waker_of(me).will_wake(waker));
        own.map_or_else(|| Waiter::Waker(Box::new(waker.clone())), Waiter::Task)
    }

    /// Notifies whatever waits. To be called where nothing is borrowed.
    pub(crate) fn notify(&self, waiter: Waiter) {
        match waiter {
            Waiter::Task(task) => self.wake(task),
            Waiter::Idle(source) => self.enqueue(Turn::Activate(source)),
            Waiter::Waker(waker) => quietly(|| waker.wake()),
        }
    }

    /// Wakes every task, for each to see what has changed.
    pub(crate) fn wake_all(&self) {
        let tasks = self.tasks.borrow().tokens();
        tasks.into_iter().for_each(|task| self.wake(task));
    }

    /// Puts a turn at the end of the run queue.
    pub(crate) fn enqueue(&self, turn: Turn) {
        self.queue.borrow_mut().push_back(turn);
    }

    // ANCHOR: activate
    /// Gives an idle connection to a task, and the task its turn. If the task was woken before,
    /// its other turn is still queued, and may find it parked.
    fn activate(&self, source: Token) {
        let activate = self.activate.borrow().clone();
        let Some((task, number)) = activate.and_then(|activate| activate(source)) else {
            return;
        };
        if let Some(entry) = self.tasks.borrow_mut().get_mut(task) {
            (entry.state, entry.number) = (State::Queued, number);
            if let Some(Task::Coroutine(coroutine)) = &mut entry.task {
                coroutine.set_id(number); // for a message about its stack
            }
        }
        self.run_task(task);
    }
    // ANCHOR_END: activate

    /// Sets what gives idle connections to tasks.
    pub(crate) fn on_activate(&self, activate: Activate) {
        self.activate.replace(Some(activate));
    }

    pub(crate) fn timers(&self) -> RefMut<'_, Timers> {
        self.timers.borrow_mut()
    }

    /// Clears a timer, if it has not expired.
    pub(crate) fn clear_timer(&self, timer: Token) {
        let waiter = self.timers.borrow_mut().clear(timer);
        drop(waiter); // a waker's destructor is foreign code
    }

    /// Returns the number of timers that are set.
    pub fn timers_set(&self) -> usize {
        self.timers.borrow().len()
    }

    /// Returns the number of tasks.
    pub fn tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Returns when this round began: the time, to within the turns of this round.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Returns whether the runtime has ended: only destructors still run.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Returns a waker of a task.
    pub(crate) fn waker_of(&self, task: Token) -> Waker {
        let new = || Signal::new(task, self.inbox.clone());
        Waker::from(match self.tasks.borrow_mut().get_mut(task) {
            Some(entry) => entry.signal.get_or_insert_with(new).clone(),
            None => new(), // it has ended, and wakes nothing
        })
    }

    /// Returns whether anything outside of the scheduler holds a waker of a task.
    pub(crate) fn has_wakers(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        tasks.tokens().into_iter().any(|token| {
            let signal = tasks.get_mut(token).and_then(|entry| entry.signal.as_ref());
            signal.is_some_and(|signal| Arc::strong_count(signal) > 1)
        })
    }

    /// Returns how many stacks were in use at once, and how many bytes of one were touched, at
    /// most; `None` for a runtime without stacks.
    pub fn stacks_used(&self) -> Option<(usize, usize)> {
        let stacks = self.stacks.borrow();
        stacks.as_ref().map(|stacks| (stacks.most_used(), stacks.high_water()))
    }

    // ANCHOR: spawn
    /// Adds a coroutine. It is not in the run queue yet.
    ///
    /// # Errors
    ///
    /// No stack is available, or the runtime has ended.
    ///
    /// # Safety
    ///
    /// The body suspends in no initializer or destructor of a thread-local. (That it ends
    /// before its thread is the scheduler's part of [`Coroutine::new`]'s contract.)
    #[allow(unsafe_code)]
    pub(crate) unsafe fn add_coroutine(
        &self,
        body: impl FnOnce() + 'static,
    ) -> io::Result<Token> {
        if self.is_over.get() {
            return Err(io::Error::other("the runtime has ended"));
        }
        let stack = match &mut *self.stacks.borrow_mut() {
            Some(stacks) => stacks.take()?,
            None => return Err(io::Error::other("a runtime without stacks")),
        };
        self.spawned.update(|count| count + 1);
        // SAFETY: by the caller's promise. `end` drops every coroutine that is left, at the
        // latest when `Runtime`'s `run` returns or unwinds, and so before the thread ends.
        let coroutine = unsafe { Coroutine::new(stack, self.spawned.get(), body) };
        Ok(self.add(Task::Coroutine(coroutine)))
    }

    /// Adds a task. It is not in the run queue yet.
    pub(crate) fn add(&self, task: Task) -> Token {
        self.tasks.borrow_mut().insert(Entry {
            task: Some(task),
            state: State::Queued,
            number: 0,
            signal: None,
        })
    }

    // ANCHOR_END: spawn

    /// Ends a coroutine, if it has not ended by itself, and takes its stack back.
    fn give_back(&self, coroutine: Coroutine) {
        let stack = coroutine.into_stack();
        if let Some(stacks) = &mut *self.stacks.borrow_mut() {
            stacks.give_back(stack);
        }
    }

    // ANCHOR: end
    /// Ends the tasks that are left. A coroutine is unwound, as by a panic: what lies on
    /// its stack is dropped in order. A future is dropped, and nothing but destructors
    /// runs.
    pub(crate) fn end(&self) {
        self.is_over.set(true);
        let tokens = self.tasks.borrow().tokens();
        let mut ended = Ok(());
        for token in tokens {
            // Not while anything is borrowed: what is dropped there may use it.
            let entry = self.tasks.borrow_mut().remove(token);
            let task = entry.and_then(|entry| entry.task);
            // A cancellation comes here if the runtime runs in a coroutine that is
            // dropped. The other tasks end first: a coroutine that was leaked might
            // outlive what it refers to.
            ended = ended.and(catch_unwind(AssertUnwindSafe(|| match task {
                Some(Task::Coroutine(coroutine)) => self.give_back(coroutine),
                future => drop_quietly(future),
            })));
        }
        self.queue.borrow_mut().clear();
        let activate = self.activate.take();
        drop_quietly(activate);
        ended.unwrap_or_else(|cancelled| resume_unwind(cancelled));
    }
    // ANCHOR_END: end
}

/// Calls a function when it is dropped, also by unwinding.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
