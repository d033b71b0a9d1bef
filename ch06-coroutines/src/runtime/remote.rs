//! What threads share: a runtime's inbox of wake-ups, and the flag of a task that was woken.
//! `tests/orders.rs` tries every order of their steps.
//!
//! A runtime belongs to its thread, and so do its tasks. A thread that has something for a
//! task leaves it where both can find it, and wakes the task: it pushes the task's token into
//! the inbox, which has a lock, and if the runtime sleeps, writes a byte into a pipe that its
//! poller watches.

use ch01_blocking::server::sys;
use ch03_nonblocking::poller::Token;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The tasks that were woken, and not taken yet.
pub(crate) struct Inbox {
    woken: Mutex<Vec<Token>>,
    /// Whether the runtime waits for its poller, or is about to.
    sleeping: AtomicBool,
    wake_read: File,
    wake_write: File,
}

impl Inbox {
    /// Creates an empty inbox.
    ///
    /// # Errors
    ///
    /// pipe(2)'s: there are no descriptors left.
    pub(crate) fn new() -> io::Result<Inbox> {
        let (read, write) = sys::pipe()?;
        let (wake_read, wake_write) = (read.into(), write.into());
        let (woken, sleeping) = (Mutex::default(), AtomicBool::new(false));
        Ok(Inbox { woken, sleeping, wake_read, wake_write })
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

    /// Returns whether the runtime sleeps, and no other push has claimed to wake it. On the
    /// runtime's own thread it never does: there a wake-up makes no system call.
    pub(crate) fn claim_wakeup(&self) -> bool {
        self.sleeping.swap(false, AcqRel)
    }

    pub(crate) fn write_wakeup(&self) {
        // Again if a signal interrupted it. A full pipe is as good: it was not drained yet.
        while let Err(error) = (&self.wake_write).write(b"!")
            && error.kind() == ErrorKind::Interrupted
        {}
    }

    /// Announces that the runtime is about to sleep. **After this**, it has to take what is
    /// there. In the other order, a task that is pushed in between would stay there, and
    /// its push would find that the runtime does not sleep yet.
    pub(crate) fn announce_sleep(&self) {
        self.sleeping.swap(true, AcqRel);
    }

    /// Passes the tasks that were woken to `each`.
    pub(crate) fn take(&self, each: impl FnMut(Token)) {
        self.woken().drain(..).for_each(each);
    }
    // ANCHOR_END: inbox

    /// Drains the pipe.
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

impl AsFd for Inbox {
    /// Readable when the runtime was woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake_read.as_fd()
    }
}

// ANCHOR: flag
/// Whether a task was woken since it last began to run. What is written before
/// [`set`](ScheduledFlag::set) is visible to the run after
/// [`clear`](ScheduledFlag::clear).
#[derive(Debug, Default)]
pub(crate) struct ScheduledFlag(AtomicBool);

impl ScheduledFlag {
    /// Returns whether the flag was clear: then, and only then, the wake-up has to be
    /// delivered. A wake-up that finds it set may rely on the earlier one.
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, AcqRel)
    }

    /// Clears the flag, before the task runs. **Not after**: a wake-up between the
    /// task's last look and the clearing would be erased.
    pub(crate) fn clear(&self) {
        self.0.swap(false, AcqRel);
    }
}
// ANCHOR_END: flag
