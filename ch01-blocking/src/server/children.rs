//! The processes that a server has made, and how it buries them.

use crate::server::stop::is_readable;
use crate::server::sys::{self, Pid, Signal};
use crate::server::trace::{self, trace};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Processes that serve, and a pipe that SIGCHLD rings.
#[derive(Debug)]
pub struct Children<T> {
    /// Each with what its parent knows of it.
    living: HashMap<Pid, T>,
    wake_read: OwnedFd,
}

impl<T> Children<T> {
    /// Nobody yet.
    pub fn new() -> io::Result<Children<T>> {
        let (wake_read, wake_write) = sys::pipe()?;
        sys::write_on_signals(wake_write, &[Signal::SIGCHLD])?;
        Ok(Children { living: HashMap::new(), wake_read })
    }

    /// Readable when a child has ended.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake_read.as_fd()
    }

    /// How many live.
    pub fn count(&self) -> usize {
        self.living.len()
    }

    /// A child has been made.
    pub fn add(&mut self, child: Pid, known: T) {
        self.living.insert(child, known);
    }

    /// Empties the wake-up pipe, and returns whether a child has died. Call this first, then
    /// [`reap`](Children::reap): a child that dies in between makes the pipe readable again.
    pub fn drain_wakeups(&self) -> bool {
        let mut rings = [0; 64];
        let mut rang = false;
        while matches!(nix::unistd::read(&self.wake_read, &mut rings), Ok(n) if n > 0) {
            rang = true;
        }
        rang
    }

    // ANCHOR: reap
    /// Reaps the dead. One SIGCHLD may stand for many: signals do not queue.
    pub fn reap(&mut self, mut on_exit: impl FnMut(T, WaitStatus)) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(child) = status.pid() else { break }; // nobody else is dead
            if let Some(known) = self.living.remove(&child) {
                on_exit(known, status);
            }
        }
    }
    // ANCHOR_END: reap

    /// Tells everybody to finish, and ends those who do not.
    pub fn drain(&mut self, within: Duration, mut on_exit: impl FnMut(T, WaitStatus)) {
        let deadline = Instant::now() + within;
        trace::set_connection(0);
        trace!(
            "stop",
            "{} processes, {:.1} s to finish",
            self.living.len(),
            within.as_secs_f64()
        );
        self.signal(Signal::SIGTERM);
        self.reap(&mut on_exit);
        while !self.living.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trace!("stop", "{} processes cut off", self.living.len());
                self.signal(Signal::SIGKILL);
                for &child in self.living.keys() {
                    let _ = waitpid(child, None); // it cannot have been reaped before
                }
                return;
            }
            is_readable(&[self.wake_read.as_fd()], Some(left));
            self.drain_wakeups();
            self.reap(&mut on_exit);
        }
    }

    fn signal(&self, signal: Signal) {
        for &child in self.living.keys() {
            // Not reaped yet, so the number is still its own.
            let _ = sys::kill(child, signal);
        }
    }
}
