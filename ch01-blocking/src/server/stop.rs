//! Stopping: a pipe that everything which waits can wait for as well.
//!
//! A signal handler may do next to nothing, but it may write a byte to a pipe
//! (TLPI 63.5.2, the self-pipe trick). Whoever waits, by whatever
//! mechanism, watches the other end beside its sockets. Nobody reads the byte, so
//! the pipe stays readable, for every thread and every process.
//!
//! ```
//! use ch01_blocking::Stop;
//!
//! let (stop, stopper) = Stop::pipe()?;
//! assert!(!stop.is_asked());
//! stopper.stop()?;
//! assert!(stop.is_asked()); // and it stays so, for whoever looks
//! stop.wait();
//! # std::io::Result::Ok(())
//! ```

use crate::deadlines::{later, milliseconds};
use crate::server::listener::ACCEPT_BACKOFF;
use crate::server::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// The end that is watched: readable from when the server is to stop.
#[derive(Debug)]
pub struct Stop {
    watched: OwnedFd,
    /// For those who have to ask from within.
    written: File,
}

/// The end that stops the server.
#[derive(Debug)]
pub struct StopTrigger(File);

impl Stop {
    /// A fresh pipe.
    /// An error means that there are no descriptors left.
    pub fn pipe() -> io::Result<(Stop, StopTrigger)> {
        let (watched, write) = sys::pipe()?;
        let written = File::from(write.try_clone()?);
        Ok((Stop { watched, written }, StopTrigger(File::from(write))))
    }

    /// A pipe into which SIGTERM and SIGINT write from now on.
    pub fn on_signals() -> io::Result<Stop> {
        Stop::on(&[sys::Signal::SIGTERM, sys::Signal::SIGINT])
    }

    /// A pipe into which these signals write from now on, and into no other.
    /// An error is that of
    /// pipe(2) or sigaction(2).
    pub fn on(signals: &[sys::Signal]) -> io::Result<Stop> {
        let (stop, StopTrigger(write)) = Stop::pipe()?;
        sys::write_on_signals(write.into(), signals)?;
        Ok(stop)
    }

    /// Whether it is time to stop.
    pub fn is_asked(&self) -> bool {
        is_readable(&[self.as_fd()], Some(Duration::ZERO))[0]
    }

    /// Asks for it, from within the server. It does not wait for it.
    pub fn ask(&self) {
        let _ = (&self.written).write(b"!"); // a pipe that is full is readable
    }

    /// Waits until it is time to stop.
    pub fn wait(&self) {
        while !is_readable(&[self.as_fd()], None)[0] {}
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }
}

impl StopTrigger {
    /// Stops the server.
    pub fn stop(mut self) -> io::Result<()> {
        self.0.write_all(b"!")
    }
}

/// Waits until one of the descriptors is readable, or `within` is over, and says
/// which are. poll(2) does it; chapter 4 is about how. A listener that is said to be readable
/// may have no client.
pub fn is_readable<const N: usize>(
    descriptors: &[BorrowedFd<'_>; N],
    within: Option<Duration>,
) -> [bool; N] {
    let deadline = within.map(|within| later(Instant::now(), within));
    loop {
        let mut polled =
            descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN));
        let left =
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(milliseconds(left)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut polled, timeout) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return [false; N],
            Ok(n) if n > 0 => return polled.map(|polled| polled.any().unwrap_or(true)),
            Ok(_) | Err(Errno::EINTR) => {} // a signal, or the time is not quite over
            // No memory in the kernel, or a limit of descriptors that was lowered below their
            // number (poll(2)). Each is asked by itself; the pause is for an error that lasts.
            Err(_) => {
                thread::sleep(
                    left.map_or(ACCEPT_BACKOFF, |left| left.min(ACCEPT_BACKOFF)),
                );
                let readable = descriptors.map(sys::may_be_readable);
                if readable.contains(&true) || left.is_some_and(|left| left.is_zero()) {
                    return readable;
                }
            }
        }
    }
}
