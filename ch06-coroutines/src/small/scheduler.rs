// ANCHOR: head
//! A scheduler: it decides which coroutine runs next on one thread. A *task* is a
//! coroutine that the scheduler runs.
//!
//! Left out are wake-ups from other threads.
#![allow(unsafe_code)] // `Coroutine::new` is unsafe

use super::coroutine::{Coroutine, suspend};
use super::reactor::Reactor;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The scheduler of one thread, with its tasks.
pub struct Scheduler {
    /// The identities of the tasks to run: first woken, first run.
    run_queue: RefCell<VecDeque<u64>>,
    /// The tasks by identity, except the running one. No identity is used twice, so a
    /// wake-up for a task that has ended finds nothing.
    tasks: RefCell<HashMap<u64, Coroutine>>,
    running: Cell<u64>,
    last_id: Cell<u64>,
    reactor: RefCell<Reactor>,
}

// ANCHOR_END: head
// ANCHOR: run
impl Scheduler {
    /// Returns a scheduler without tasks.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::new`].
    pub fn new() -> io::Result<Scheduler> {
        Ok(Scheduler {
            run_queue: RefCell::default(),
            tasks: RefCell::default(),
            running: Cell::new(0),
            last_id: Cell::new(0),
            reactor: RefCell::new(Reactor::new()?),
        })
    }

    /// Creates a task, which runs in the next round of the run queue.
    ///
    /// # Errors
    ///
    /// There is no memory for the task's stack.
    ///
    /// # Safety
    ///
    /// The contract is that of [`Coroutine::new`].
    pub unsafe fn spawn(&self, body: impl FnOnce() + 'static) -> io::Result<()> {
        // SAFETY: the caller keeps the contract of `Coroutine::new`.
        let coroutine = unsafe { Coroutine::new(body) }?;
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        self.tasks.borrow_mut().insert(id, coroutine);
        self.wake(id);
        Ok(())
    }

    /// Puts a task into the run queue: it runs in the next round.
    pub fn wake(&self, id: u64) {
        self.run_queue.borrow_mut().push_back(id);
    }

    /// Runs tasks until the last one has ended.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::wait`].
    pub fn run(&self) -> io::Result<()> {
        loop {
            // One round: a task that is woken meanwhile runs in the next round.
            for id in self.run_queue.take() {
                let task = self.tasks.borrow_mut().remove(&id);
                let Some(mut task) = task else { continue }; // it has ended
                self.running.set(id);
                if task.resume() {
                    self.tasks.borrow_mut().insert(id, task);
                }
            }
            if self.tasks.borrow().is_empty() {
                return Ok(());
            }
            let may_sleep = self.run_queue.borrow().is_empty();
            let ids = self.reactor.borrow_mut().wait(may_sleep)?;
            self.run_queue.borrow_mut().extend(ids);
        }
    }
}

// ANCHOR_END: run
// ANCHOR: park
/// The functions that tasks call. Outside of a task, `running` has no meaning, and a
/// function panics where it would suspend the task.
impl Scheduler {
    /// Returns the identity of the running task.
    pub fn running(&self) -> u64 {
        self.running.get()
    }

    /// From now on, wakes the running task whenever something arrives at the
    /// descriptor.
    ///
    /// # Errors
    ///
    /// Those of [`Reactor::watch`].
    pub fn watch(&self, descriptor: impl AsFd) -> io::Result<()> {
        self.reactor.borrow().watch(descriptor, self.running())
    }

    /// Suspends the running task until it is woken, or until `deadline`. A wake-up is a
    /// hint: the caller checks whether what it waits for has happened.
    pub fn park(&self, deadline: Option<Instant>) {
        let id = self.running();
        if let Some(time) = deadline {
            self.reactor.borrow_mut().set_deadline(time, id);
        }
        suspend();
        if let Some(time) = deadline {
            self.reactor.borrow_mut().clear_deadline(time, id);
        }
    }

    /// Suspends the running task for the duration `time`.
    pub fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.park(Some(end));
        }
    }

    /// Lets all other tasks that were woken run first.
    pub fn yield_now(&self) {
        self.wake(self.running());
        suspend();
    }

    /// Wakes every task except the running one.
    pub fn wake_all(&self) {
        self.run_queue.borrow_mut().extend(self.tasks.borrow().keys());
    }
}
// ANCHOR_END: park

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn they_sleep_at_the_same_time() {
        let scheduler = Rc::new(Scheduler::new().expect("an epoll"));
        let order = Rc::new(RefCell::new(Vec::new()));
        for milliseconds in [300, 100, 200] {
            let (task, order) = (scheduler.clone(), order.clone());
            let body = move || {
                task.sleep(Duration::from_millis(milliseconds));
                order.borrow_mut().push(milliseconds);
            };
            // SAFETY: the body uses no thread-local variable.
            unsafe { scheduler.spawn(body) }.expect("memory for a stack");
        }
        scheduler.run().expect("an epoll");
        assert_eq!(*order.borrow(), [100, 200, 300]);
    }
}
// ANCHOR_END: tests
