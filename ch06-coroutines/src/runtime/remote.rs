//! Wake-ups from other threads: a runtime's [`RemoteQueue`] of woken tasks, and each task's
//! [`ScheduledFlag`]. `tests/orders.rs` tries every order in which the threads can take their
//! steps.
//!
//! A runtime and its tasks belong to one thread. Another thread that has a result for a task stores
//! the result in memory that both threads share, and wakes the task: it pushes the task's token
//! into the queue, which has a lock. If the runtime sleeps, the other thread also writes a byte
//! into a pipe that the runtime's poller watches.

use ch01_blocking::server::sys;
use ch03_nonblocking::poller::Token;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tokens of the tasks that other threads, or wakers on the runtime's own thread, have woken
/// and the runtime has not taken yet.
pub(crate) struct RemoteQueue {
    woken: Mutex<Vec<Token>>,
    /// Whether the runtime waits for its poller, or is about to.
    sleeping: AtomicBool,
    wake_read: File,
    wake_write: File,
}

impl RemoteQueue {
    /// Creates an empty queue and its pipe.
    ///
    /// # Errors
    ///
    /// The error of pipe(2) if no descriptors are left.
    pub(crate) fn new() -> io::Result<RemoteQueue> {
        let (read, write) = sys::pipe()?;
        let (wake_read, wake_write) = (read.into(), write.into());
        let (woken, sleeping) = (Mutex::default(), AtomicBool::new(false));
        Ok(RemoteQueue { woken, sleeping, wake_read, wake_write })
    }

    // ANCHOR: inbox
    /// Wakes a task, from any thread.
    pub(crate) fn send(&self, task: Token) {
        self.push(task);
        if self.claim_wakeup() {
            self.write_wakeup();
        }
    }

    pub(crate) fn push(&self, task: Token) {
        self.woken().push(task);
    }

    /// Returns whether the caller has to write to the pipe: the runtime has announced
    /// that it will sleep, and no call since then has returned true. While a task of
    /// the runtime runs, the result is false, so a wake-up by the task makes no system
    /// call.
    pub(crate) fn claim_wakeup(&self) -> bool {
        self.sleeping.swap(false, AcqRel)
    }

    pub(crate) fn write_wakeup(&self) {
        // The loop retries a write that a signal has interrupted, but not a write that
        // fails because the pipe is full: a full pipe wakes the runtime as well.
        while let Err(error) = (&self.wake_write).write(b"!")
            && error.kind() == ErrorKind::Interrupted
        {}
    }

    /// Announces that the runtime is about to sleep. The runtime has to take the woken
    /// tasks **after this call**, as `Scheduler::prepare_to_wait` does. In the other
    /// order, a task that is pushed in between would stay in the queue: the thread that
    /// has pushed it would find that the runtime does not sleep yet, and would not
    /// write to the pipe.
    pub(crate) fn announce_sleep(&self) {
        self.sleeping.swap(true, AcqRel);
    }

    /// Removes all woken tasks from the queue, and passes each to `each`.
    pub(crate) fn take(&self, each: impl FnMut(Token)) {
        self.woken().drain(..).for_each(each);
    }
    // ANCHOR_END: inbox

    /// Empties the pipe: reads all bytes that `write_wakeup` has written.
    pub(crate) fn drain_wakeups(&self) {
        while (&self.wake_read).read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.woken().is_empty()
    }

    fn woken(&self) -> MutexGuard<'_, Vec<Token>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for RemoteQueue {
    /// Returns the read end of the pipe, which is readable from a call to
    /// `write_wakeup` until the next call to `drain_wakeups`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake_read.as_fd()
    }
}

// ANCHOR: flag
/// Whether a task was woken since it last began to run. A thread that calls
/// [`set`](ScheduledFlag::set) makes its earlier writes visible to the task's run after
/// the next [`clear`](ScheduledFlag::clear).
#[derive(Debug, Default)]
pub(crate) struct ScheduledFlag(AtomicBool);

impl ScheduledFlag {
    /// Sets the flag. Returns whether it was clear: only then does the caller have to
    /// deliver the wake-up. If the flag was set already, an earlier wake-up is on its
    /// way.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, AcqRel)
    }

    /// Clears the flag. The caller does so **before** the task runs: if the flag were
    /// cleared after the run, a wake-up between the task's last check and the clearing
    /// would be lost.
    pub(crate) fn clear(&self) {
        self.0.swap(false, AcqRel);
    }
}
// ANCHOR_END: flag
