//! The child processes of a server: how the server notices their exit, reaps them and
//! stops them.

use crate::deadlines::later;
use crate::server::stop::is_readable;
use crate::server::sys::{self, Pid, Signal};
use crate::server::trace::{self, trace};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A set of child processes, and a pipe that the handler of SIGCHLD writes to.
#[derive(Debug)]
pub struct Children<T> {
    /// The running children, each with the value that its parent attached to it.
    running: HashMap<Pid, T>,
    wake_read: OwnedFd,
}

impl<T> Children<T> {
    /// Returns an empty set, and makes the handler of SIGCHLD write to the set's pipe.
    ///
    /// # Errors
    ///
    /// Those of pipe(2) and sigaction(2).
    pub fn new() -> io::Result<Children<T>> {
        let (wake_read, wake_write) = sys::pipe()?;
        sys::write_on_signals(wake_write, &[Signal::SIGCHLD])?;
        Ok(Children { running: HashMap::new(), wake_read })
    }

    /// Returns the descriptor that becomes readable when a child has exited.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake_read.as_fd()
    }

    /// Returns the number of children that have not been reaped.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Adds a child, and attaches the value `known` to it.
    pub fn add(&mut self, child: Pid, known: T) {
        self.running.insert(child, known);
    }

    // ANCHOR: drain_wakeups
    /// Empties the wake-up pipe, and returns whether a child has exited. Callers empty
    /// the pipe first, then call [`reap`](Children::reap): a child that exits in
    /// between makes the pipe readable again.
    pub fn drain_wakeups(&self) -> bool {
        let mut bytes = [0; 64];
        let mut woken = false;
        while matches!(nix::unistd::read(&self.wake_read, &mut bytes), Ok(n) if n > 0) {
            woken = true;
        }
        woken
    }
    // ANCHOR_END: drain_wakeups

    // ANCHOR: reap
    /// Reaps the children that have exited, and calls `on_exit` with the attached value
    /// and the status of each. One SIGCHLD may stand for several exits: signals do not
    /// queue.
    pub fn reap(&mut self, mut on_exit: impl FnMut(T, WaitStatus)) {
        while let Some((child, status)) = self.reap_one() {
            if let Some(known) = self.running.remove(&child) {
                on_exit(known, status);
            }
        }
    }

    /// Reaps one child of this set that has exited, if there is one. A child that is
    /// not in the set stays unreaped: a library may wait for it, or this process had it
    /// before execve(2), which keeps children.
    fn reap_one(&self) -> Option<(Pid, WaitStatus)> {
        let reap = |&child: &Pid| match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(status) => Some((status.pid()?, status)),
            Err(_) => None,
        };
        match sys::ended_child() {
            Some(child) if self.running.contains_key(&child) => reap(&child),
            // This child is not in the set, and hides others: `ended_child` returns it
            // every time. So waitpid(2) is tried for each child of the set.
            Some(_) => self.running.keys().find_map(reap),
            None => None,
        }
    }
    // ANCHOR_END: reap

    /// Sends SIGTERM to all children, waits for them for at most `within`, and kills the
    /// rest. Calls `on_exit` for each child that exits in time.
    pub fn drain(&mut self, within: Duration, mut on_exit: impl FnMut(T, WaitStatus)) {
        let deadline = later(Instant::now(), within);
        trace::set_connection(0);
        trace!(
            "stop",
            "{} processes, {:.1} s to finish",
            self.running.len(),
            within.as_secs_f64()
        );
        self.signal(Signal::SIGTERM);
        self.reap(&mut on_exit);
        while !self.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trace!("stop", "{} processes cut off", self.running.len());
                self.signal(Signal::SIGKILL);
                for &child in self.running.keys() {
                    let _ = waitpid(child, None); // the child is still unreaped
                }
                return;
            }
            is_readable(&[self.wake_read.as_fd()], Some(left));
            self.drain_wakeups();
            self.reap(&mut on_exit);
        }
    }

    fn signal(&self, signal: Signal) {
        for &child in self.running.keys() {
            // The child is not reaped yet, so no other process can have its process ID.
            let _ = sys::kill(child, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn ended(status: &str) -> io::Result<(Child, Pid)> {
        let child = Command::new("sh").args(["-c", &format!("exit {status}")]).spawn()?;
        let pid = Pid::from_raw(child.id() as i32);
        while !std::fs::read_to_string(format!("/proc/{pid}/stat"))?.contains(") Z ") {
            std::thread::yield_now();
        }
        Ok((child, pid))
    }

    /// A child that is not in the set stays unreaped, and does not keep a child of the
    /// set from being reaped.
    #[test]
    #[cfg(target_os = "linux")] // /proc
    fn only_its_own_are_reaped() -> io::Result<()> {
        let mut children = Children::new()?;
        let (mut before, _) = ended("1")?;
        let (_, ours) = ended("2")?;
        let (mut behind, _) = ended("3")?;
        children.add(ours, "ours");
        let mut dead = Vec::new();
        children.reap(|known, status| dead.push((known, status)));
        assert_eq!(dead, [("ours", WaitStatus::Exited(ours, 2))]);
        assert_eq!(children.count(), 0);
        assert_eq!(before.wait()?.code(), Some(1));
        assert_eq!(behind.wait()?.code(), Some(3));
        Ok(())
    }
}
