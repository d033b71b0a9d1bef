//! Waiters, and the two ways to wake them: directly by a token on the runtime's thread,
//! or through a [`Waker`] from any thread.
//!
//! A task's [`ScheduledFlag`] is cleared before the task runs (`remote.rs` says why), so
//! a wake-up during the run makes the task run once more.

use super::remote::{RemoteQueue, ScheduledFlag};
use ch03_nonblocking::poller::Token;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// The task, idle connection or foreign waker that a descriptor or a timer notifies.
pub(crate) enum Waiter {
    /// A coroutine or a future of this runtime, by its token.
    Task(Token),
    /// An idle connection, which has no task, by the token of its descriptor.
    Idle(Token),
    /// A foreign waker: one that does not belong to this runtime. Its code may do anything, so it
    /// is cloned, called and dropped only while no field of the runtime is borrowed.
    Waker(Box<Waker>),
}

/// The reason why a task's wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The task was woken before its deadline: the event that it waits for may have happened.
    Notified,
    /// The deadline has passed.
    TimedOut,
}

// ANCHOR: signal
/// The state that all wakers of a task share. A waker may outlive its task and be used
/// on any thread, so this state refers to the task only by its token.
pub(crate) struct WakeState {
    scheduled: ScheduledFlag,
    task: Token,
    remote: Arc<RemoteQueue>,
}

impl Wake for WakeState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.scheduled.set() {
            self.remote.send(self.task);
        }
    }
}
// ANCHOR_END: signal

impl WakeState {
    pub(crate) fn new(task: Token, remote: Arc<RemoteQueue>) -> Arc<WakeState> {
        Arc::new(WakeState { scheduled: ScheduledFlag::default(), task, remote })
    }

    /// Clears the task's [`ScheduledFlag`], because the task is about to run.
    pub(crate) fn clear(&self) {
        self.scheduled.clear();
    }
}
