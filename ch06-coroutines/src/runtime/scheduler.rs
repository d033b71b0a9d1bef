//! The scheduler: it decides which task runs next, and parks and wakes tasks.
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
//! A task runs until it parks, yields or ends; nothing preempts it. Until then no other task runs
//! on the thread, so most data that threads would protect by locks needs no lock here. The
//! scheduler knows nothing of descriptors: the function by which the thread waits for them is an
//! argument of [`run`](Scheduler::run).

use super::remote::RemoteQueue;
use super::timers::Timers;
use super::waker::{Waiter, WakeState, Woken};
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

/// A pinned future in a box, so that the futures of all tasks have one type.
pub(crate) type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

// ANCHOR: task
/// The code of a task.
pub(crate) enum Task {
    /// A function with its own stack. It is resumed, and parks in the middle.
    Coroutine(Coroutine),
    /// A state machine. It is polled, and returns `Pending` to wait.
    Future(BoxedFuture),
}

/// A task and its scheduling state.
struct Entry {
    /// The code of the task; `None` while the task runs.
    task: Option<Task>,
    state: State,
    /// The number of the connection that the task serves, for the trace; 0 for none.
    number: u64,
    /// The state that the task's wakers share; `None` until the first waker is made.
    wake_state: Option<Arc<WakeState>>,
}

/// The scheduling state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The task is running.
    Running,
    /// The task is running and was woken meanwhile: it will be queued again.
    RunningWoken,
    /// The task is in the run queue.
    Queued,
    /// The task waits to be woken.
    Parked,
}
// ANCHOR_END: task

/// Bytes that a task takes in the scheduler's table, without its stack or future.
pub const TASK: usize = Table::<Entry>::PLACE;

/// An entry of the run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Run the task with this token.
    Run(Token),
    /// Activate the idle connection whose descriptor has this token.
    Activate(Token),
}

/// A function that assigns the idle connection whose descriptor has the given token to a task,
/// which the scheduler then runs next. Returns the task's token and the connection's number, or
/// `None` if the connection no longer exists or no task can be created.
pub(crate) type Activate = Rc<dyn Fn(Token) -> Option<(Token, u64)>>;

/// The tasks of one thread, their run queue and their timers. None of the fields stays borrowed
/// while a task runs.
pub struct Scheduler {
    tasks: RefCell<Table<Entry>>,
    queue: RefCell<VecDeque<Turn>>,
    /// The number of run-queue entries of the current round that have not run yet.
    round: Cell<usize>,
    timers: RefCell<Timers>,
    /// The task that is running; `None` between two tasks.
    running: Cell<Option<Token>>,
    stacks: RefCell<Option<StackPool>>,
    activate: RefCell<Option<Activate>>,
    remote: Arc<RemoteQueue>,
    /// The time at which the current round began.
    now: Cell<Instant>,
    spawned: Cell<u64>,
    /// Whether the runtime has ended, so that only destructors still run.
    is_over: Cell<bool>,
}

impl Scheduler {
    pub(crate) fn new(stacks: Option<StackPool>, remote: Arc<RemoteQueue>) -> Scheduler {
        let now = Instant::now();
        Scheduler {
            tasks: RefCell::default(),
            queue: RefCell::default(),
            round: Cell::new(0),
            timers: RefCell::new(Timers::new(now)),
            running: Cell::new(None),
            stacks: RefCell::new(stacks),
            activate: RefCell::default(),
            remote,
            now: Cell::new(now),
            spawned: Cell::new(0),
            is_over: Cell::new(false),
        }
    }

    // ANCHOR: run
    /// Runs tasks until `has_ended` returns true. Between two rounds of the run queue,
    /// calls `wait` with a timeout (`None`: without a limit). `wait` blocks until an
    /// event is reported or the timeout has passed; the thread waits nowhere else.
    ///
    /// # Errors
    ///
    /// The error of `wait`.
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
                    Turn::Activate(descriptor) => self.activate(descriptor),
                }
                if has_ended() {
                    return Ok(());
                }
            }
            wait(self.prepare_to_wait())?;
            self.remote.claim_wakeup(); // other threads need not write to the pipe now
            self.now.set(Instant::now());
            self.timers.borrow_mut().expire(self.now.get(), &mut late);
            late.drain(..).for_each(|waiter| self.notify(waiter));
        }
    }
    // ANCHOR_END: run

    // ANCHOR: round
    /// Begins a round: it consists of the entries that are in the run queue now. An
    /// entry that is added during the round, even by a task that yields, waits for the
    /// next round, and the poller is called in between. So no task keeps the others
    /// from running.
    fn begin_round(&self) {
        self.remote.take(|task| self.wake(task));
        self.round.set(self.queue.borrow().len());
    }

    /// Removes the next run-queue entry of the current round and returns it; `None` at
    /// the end of the round.
    fn next_turn(&self) -> Option<Turn> {
        self.round.set(self.round.get().checked_sub(1)?);
        self.queue.borrow_mut().pop_front()
    }
    // ANCHOR_END: round

    // ANCHOR: prepare_to_wait
    /// Announces that the thread will sleep, takes the wake-ups that have arrived, and
    /// returns how long the thread may wait: zero if a task is queued, `None` (without
    /// a limit) if no timer is set.
    fn prepare_to_wait(&self) -> Option<Duration> {
        self.remote.announce_sleep();
        self.remote.take(|task| self.wake(task)); // a later wake-up writes to the pipe
        self.timers.borrow_mut().end_round();
        if !self.queue.borrow().is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.timers.borrow().next()?;
        Some(next.saturating_duration_since(self.now.get()))
    }
    // ANCHOR_END: prepare_to_wait

    // ANCHOR: run_task
    /// Runs a task until it parks, yields or ends.
    fn run_task(&self, token: Token) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.get_mut(token);
        // The run-queue entry is ignored if its task is no longer `Queued`, for example
        // because `activate` has run the task already.
        let Some(entry) = entry.filter(|it| it.state == State::Queued) else { return };
        let Some(task) = entry.task.take() else { return };
        entry.state = State::Running;
        trace::set_connection(entry.number);
        if let Some(wake_state) = &entry.wake_state {
            wake_state.clear(); // a wake-up from now on makes the task run once more
        }
        drop(tasks); // the task that runs now may use the scheduler
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
    /// Resumes a coroutine until it suspends itself, by `park` or `yield_now`, or ends.
    /// Returns the coroutine if it was suspended; if it has ended, its stack returns to
    /// the pool.
    fn resume(&self, mut coroutine: Coroutine) -> Option<Task> {
        match coroutine.resume_as(Owner::scheduler(self)) {
            Resumed::Suspended => return Some(Task::Coroutine(coroutine)),
            Resumed::Finished => {}
            Resumed::Panicked(panic) => drop_quietly(panic), // no other task is affected
        }
        self.give_back(coroutine);
        None
    }
    // ANCHOR_END: resume

    // ANCHOR: poll
    /// Polls a task's future. Returns the future if it is pending; it has then passed
    /// its waker to whatever will wake it. If the future has ended, its box is freed.
    fn poll(&self, token: Token, mut future: BoxedFuture) -> Option<Task> {
        let waker = self.waker_of(token);
        let context = &mut Context::from_waker(&waker);
        match unwind::catch(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Some(Task::Future(future)),
            Ok(Poll::Ready(())) => {}
            Err(panic) => drop_quietly(panic), // no other task is affected
        }
        drop_quietly(future);
        None
    }
    // ANCHOR_END: poll

    // ANCHOR: put_back
    /// Puts a task that was suspended back into its table entry, and into the run queue
    /// if it was woken while it ran or has yielded.
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
    // ANCHOR_END: put_back

    // ANCHOR: park
    /// Suspends the running coroutine until [`wake`](Scheduler::wake) is called for it
    /// or the deadline `due` has passed. `park` may also return earlier without a
    /// reason, so the caller checks its condition in a loop. After the runtime's end,
    /// in a destructor, `park` returns [`Woken::TimedOut`] at once; a loop in a
    /// destructor also checks [`is_over`](Scheduler::is_over).
    ///
    /// # Panics
    ///
    /// If the caller is not a coroutine that this runtime has resumed.
    pub fn park(&self, due: Option<Instant>) -> Woken {
        if self.is_over.get() {
            return Woken::TimedOut;
        }
        let me = self.running_coroutine();
        let timer = due.map(|due| self.timers().set(Waiter::Task(me), due));
        let clear = |timer| self.clear_timer(timer);
        let _timer = OnDrop(|| timer.into_iter().for_each(clear));
        // Suspending in the state `Running` discards a wake-up that arrived while this
        // task was running: the task has checked its condition since then. (A wake-up
        // through a `Waker` is not discarded: it is applied only between two rounds of
        // the run queue.)
        self.suspend(me, State::Running);
        match timer {
            Some(timer) if !self.timers().runs(timer) => Woken::TimedOut,
            _ => Woken::Notified,
        }
    }
    // ANCHOR_END: park

    // ANCHOR: wake
    /// Wakes a parked task: puts it into the run queue. A running task is only marked
    /// as woken. A marked future is then polled once more; a coroutine that parks
    /// erases the mark, because it has checked its condition in the meantime.
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

    /// Suspends the running coroutine until every task that is already in the run queue has run. (A
    /// future awaits [`yield_now`](super::yield_now) instead.)
    ///
    /// # Panics
    ///
    /// Panics where [`park`](Scheduler::park) does.
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

    /// Returns the token of the running coroutine.
    ///
    /// # Panics
    ///
    /// If the caller is not a coroutine that this runtime has resumed.
    pub(crate) fn running_coroutine(&self) -> Token {
        match self.running.get() {
            Some(me) if is_resumed_by(Owner::scheduler(self)) => me,
            _ => panic!("a coroutine can wait only in the runtime that runs it"),
        }
    }

    /// Returns the token of the running task; `None` if no task is running.
    pub fn current(&self) -> Option<Token> {
        self.running.get()
    }

    /// Returns the waiter for a future that is polled with `waker`: the running task, if `waker` is
    /// that task's own waker, as is usual; otherwise a copy of `waker`.
    pub(crate) fn waiter(&self, waker: &Waker) -> Waiter {
        let own = self.current().filter(|&me| self.waker_of(me).will_wake(waker));
        own.map_or_else(|| Waiter::Waker(Box::new(waker.clone())), Waiter::Task)
    }

    // ANCHOR: notify
    /// Notifies a waiter. No field of the runtime may be borrowed during the call,
    /// because a foreign waker may run any code.
    pub(crate) fn notify(&self, waiter: Waiter) {
        match waiter {
            Waiter::Task(task) => self.wake(task),
            Waiter::Idle(descriptor) => self.enqueue(Turn::Activate(descriptor)),
            Waiter::Waker(waker) => quietly(|| waker.wake()),
        }
    }
    // ANCHOR_END: notify

    /// Wakes all tasks, so that each checks its condition again.
    pub(crate) fn wake_all(&self) {
        let tasks = self.tasks.borrow().tokens();
        tasks.into_iter().for_each(|task| self.wake(task));
    }

    /// Adds an entry at the end of the run queue.
    pub(crate) fn enqueue(&self, turn: Turn) {
        self.queue.borrow_mut().push_back(turn);
    }

    // ANCHOR: activate
    /// Assigns the idle connection with the given descriptor to a task, and runs the
    /// task. If an earlier wake-up has put the task into the run queue, that entry
    /// stays there. When the entry's turn comes, it is ignored if the task is parked.
    fn activate(&self, descriptor: Token) {
        let activate = self.activate.borrow().clone();
        let worker = activate.and_then(|activate| activate(descriptor));
        let Some((task, number)) = worker else { return };
        if let Some(entry) = self.tasks.borrow_mut().get_mut(task) {
            (entry.state, entry.number) = (State::Queued, number);
            if let Some(Task::Coroutine(coroutine)) = &mut entry.task {
                coroutine.set_id(number); // for a message about a stack overflow
            }
        }
        self.run_task(task);
    }
    // ANCHOR_END: activate

    /// Sets the function that assigns idle connections to tasks.
    pub(crate) fn on_activate(&self, activate: Activate) {
        self.activate.replace(Some(activate));
    }

    pub(crate) fn timers(&self) -> RefMut<'_, Timers> {
        self.timers.borrow_mut()
    }

    /// Clears a timer. Does nothing if the timer has expired.
    pub(crate) fn clear_timer(&self, timer: Token) {
        let waiter = self.timers.borrow_mut().clear(timer);
        drop(waiter); // a waker's destructor is foreign code
    }

    /// Returns the number of timers that are set.
    pub fn timers_set(&self) -> usize {
        self.timers.borrow().len()
    }

    /// Returns the number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Returns the time at which the current round of the run queue began. The present time is
    /// later by at most the run time of this round's tasks.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Returns whether the runtime has ended, so that only destructors still run.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Returns a waker that wakes `task`.
    pub(crate) fn waker_of(&self, task: Token) -> Waker {
        let new = || WakeState::new(task, self.remote.clone());
        Waker::from(match self.tasks.borrow_mut().get_mut(task) {
            Some(entry) => entry.wake_state.get_or_insert_with(new).clone(),
            None => new(), // the task has ended, so the waker does nothing
        })
    }

    /// Returns whether a waker of any task exists outside the scheduler.
    pub(crate) fn has_wakers(&self) -> bool {
        let mut tasks = self.tasks.borrow_mut();
        tasks.tokens().into_iter().any(|token| {
            let state = tasks.get_mut(token).and_then(|entry| entry.wake_state.as_ref());
            state.is_some_and(|state| Arc::strong_count(state) > 1)
        })
    }

    /// Returns two maxima: the number of stacks in use at once, and the number of bytes that were
    /// touched on one stack. Returns `None` for a runtime without stacks.
    pub fn stacks_used(&self) -> Option<(usize, usize)> {
        let stacks = self.stacks.borrow();
        stacks.as_ref().map(|stacks| (stacks.most_used(), stacks.high_water()))
    }

    /// Gives the memory of stacks that no coroutine uses back to the system.
    pub(crate) fn release_stacks(&self) {
        self.stacks.borrow_mut().iter_mut().for_each(StackPool::release_pages);
    }

    // ANCHOR: spawn
    /// Adds a coroutine to the tasks, but not yet to the run queue.
    ///
    /// # Errors
    ///
    /// No stack is available, or the runtime has ended.
    ///
    /// # Safety
    ///
    /// The body must not suspend in an initializer or a destructor of a thread-local
    /// variable. (The other part of the contract of [`Coroutine::new`], that the
    /// coroutine ends before its thread, is kept by the scheduler.)
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
        // SAFETY: the caller promises that the body does not suspend in a
        // thread-local's initializer or destructor. The other part of the contract is
        // that the coroutine ends before its thread: `end` drops all remaining
        // coroutines, at the latest when `Runtime`'s `run` returns or unwinds.
        let coroutine = unsafe { Coroutine::new(stack, self.spawned.get(), body) };
        Ok(self.add(Task::Coroutine(coroutine)))
    }

    /// Adds a task to the table, but not yet to the run queue.
    pub(crate) fn add(&self, task: Task) -> Token {
        self.tasks.borrow_mut().insert(Entry {
            task: Some(task),
            state: State::Queued,
            number: 0,
            wake_state: None,
        })
    }

    // ANCHOR_END: spawn

    /// Returns the stack of a coroutine to the pool. A coroutine that has not ended is
    /// unwound first.
    fn give_back(&self, coroutine: Coroutine) {
        let stack = coroutine.into_stack();
        if let Some(stacks) = &mut *self.stacks.borrow_mut() {
            stacks.give_back(stack);
        }
    }

    // ANCHOR: end
    /// Ends all remaining tasks. A coroutine is unwound, as by a panic, so that the
    /// values on its stack are dropped in order. A future is dropped. Only destructors
    /// run.
    pub(crate) fn end(&self) {
        self.is_over.set(true);
        let tokens = self.tasks.borrow().tokens();
        let mut ended = Ok(());
        for token in tokens {
            // The table is not borrowed while a task is dropped: the task's destructors
            // may use it.
            let entry = self.tasks.borrow_mut().remove(token);
            let task = entry.and_then(|entry| entry.task);
            // A cancellation, the unwinding of a dropped coroutine, arrives here if the
            // runtime itself runs in a coroutine that is dropped. It continues after
            // the other tasks have ended: a task that was left suspended might outlive
            // data to which it refers.
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

/// A guard that calls a function when it is dropped, also by unwinding.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
