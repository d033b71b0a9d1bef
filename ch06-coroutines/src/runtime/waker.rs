//! What waits, and how it is woken: directly by its token, or through a [`Waker`] from
//! anywhere.
//!
//! Each waker's flag is cleared before its task runs (`remote.rs` says why), so a wake-up
//! during the run makes the task run once more.

use super::remote::{Inbox, ScheduledFlag};
use ch03_nonblocking::poller::Token;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// What waits for a descriptor or a time.
pub(crate) enum Waiter {
    /// A task of this runtime, coroutine or future.
    Task(Token),
    /// An idle connection, which has no task; named by its source.
    Idle(Token),
    /// Whatever this foreign waker wakes. Its code may do anything, so it is cloned, called
    /// and dropped only where nothing of the runtime is borrowed.
    Waker(Box<Waker>),
}

/// Why a parked coroutine continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It was woken before: what it waits for may have happened.
    Notified,
    /// Its deadline has passed.
    TimedOut,
}

// ANCHOR: signal
/// What a task's wakers share. A waker may be kept for any time, and used on any
/// thread; so this names the task by its token only, and outlives it.
pub(crate) struct Signal {
    scheduled: ScheduledFlag,
    task: Token,
    inbox: Arc<Inbox>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.scheduled.set() {
            self.inbox.send(self.task);
        }
    }
}
// ANCHOR_END: signal

impl Signal {
    pub(crate) fn new(task: Token, inbox: Arc<Inbox>) -> Arc<Signal> {
        Arc::new(Signal { scheduled: ScheduledFlag::default(), task, inbox })
    }

    /// The task is about to run.
    pub(crate) fn clear(&self) {
        self.scheduled.clear();
    }
}
