//! The processes that a server has made, and how it buries them.

use crate::stop::is_readable;
use crate::sys::{self, Pid, Signal};
use crate::trace::{self, trace};
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
    bell: OwnedFd,
}

impl<T> Children<T> {
    /// Nobody yet.
    pub fn new() -> io::Result<Children<T>> {
        let (bell, rope) = sys::pipe()?;
        sys::write_on_signals(rope, &[Signal::SIGCHLD])?;
        Ok(Children { living: HashMap::new(), bell })
    }

    /// Readable when a child has ended.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// How many live.
    pub fn count(&self) -> usize {
        self.living.len()
    }

    /// A child has been made.
    pub fn add(&mut self, child: Pid, known: T) {
        self.living.insert(child, known);
    }

    /// Whether a child has died, silencing the bell. First this, then
    /// [`bury`](Children::bury): a child that dies in between rings again.
    pub fn rang(&self) -> bool {
        let mut rings = [0; 64];
        let mut rang = false;
        while matches!(nix::unistd::read(&self.bell, &mut rings), Ok(n) if n > 0) {
            rang = true;
        }
        rang
    }

    // ANCHOR: bury
    /// Reaps the dead. One SIGCHLD may stand for many: signals do not queue.
    pub fn bury(&mut self, mut mourn: impl FnMut(T, WaitStatus)) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(child) = status.pid() else { break }; // nobody else is dead
            if let Some(known) = self.living.remove(&child) {
                mourn(known, status);
            }
        }
    }
    // ANCHOR_END: bury

    /// Tells everybody to finish, and ends those who do not.
    pub fn drain(&mut self, within: Duration, mut mourn: impl FnMut(T, WaitStatus)) {
        let deadline = Instant::now() + within;
        trace::about(0);
        trace!(
            "stop",
            "{} processes, {:.1} s to finish",
            self.living.len(),
            within.as_secs_f64()
        );
        self.signal(Signal::SIGTERM);
        self.bury(&mut mourn);
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
            is_readable(&[self.bell.as_fd()], Some(left));
            self.rang();
            self.bury(&mut mourn);
        }
    }

    fn signal(&self, signal: Signal) {
        for &child in self.living.keys() {
            // Not reaped yet, so the number is still its own.
            let _ = sys::kill(child, signal);
        }
    }
}
