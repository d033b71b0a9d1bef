//! The orderly stop: a pipe that every waiting mechanism can watch.
//!
//! A signal handler may do very little, but it may write a byte to a pipe (TLPI 63.5.2,
//! the self-pipe trick). Every thread that waits, by whatever mechanism, watches the
//! pipe's other end beside its sockets. The byte is never read, so the pipe stays
//! readable for every thread and every process.
//!
//! ```
//! use ch01_blocking::Stop;
//!
//! let (stop, trigger) = Stop::pipe()?;
//! assert!(!stop.is_requested());
//! trigger.stop()?;
//! assert!(stop.is_requested()); // the stop stays requested
//! stop.wait();
//! # std::io::Result::Ok(())
//! ```

use crate::deadlines::{later, milliseconds};
use crate::server::sys;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// The pause before the next accept(2) or poll(2) when the system is out of descriptors
/// or memory.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The stop pipe. Its read end, which `as_fd` returns, is readable as soon as the stop
/// is requested.
#[derive(Debug)]
pub struct Stop {
    read: OwnedFd,
    /// The write end, through which [`Stop::request`] requests the stop.
    write: File,
}

/// A duplicate of the stop pipe's write end, through which code outside the server
/// requests the stop.
#[derive(Debug)]
pub struct StopTrigger(File);

impl Stop {
    /// Creates a stop pipe, and returns it with a trigger that requests the stop.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub fn pipe() -> io::Result<(Stop, StopTrigger)> {
        let (read, write) = sys::pipe()?;
        let trigger = StopTrigger(File::from(write.try_clone()?));
        Ok((Stop { read, write: File::from(write) }, trigger))
    }

    /// Creates a stop pipe that the handlers of SIGTERM and SIGINT write to.
    ///
    /// # Errors
    ///
    /// Those of [`Stop::on`].
    pub fn on_signals() -> io::Result<Stop> {
        Stop::on(&[sys::Signal::SIGTERM, sys::Signal::SIGINT])
    }

    // ANCHOR: on
    /// Creates a stop pipe that the handlers of `signals` write to from now on, instead
    /// of to any earlier pipe.
    ///
    /// # Errors
    ///
    /// Those of pipe(2) and sigaction(2).
    pub fn on(signals: &[sys::Signal]) -> io::Result<Stop> {
        let (stop, StopTrigger(write)) = Stop::pipe()?;
        sys::write_on_signals(write.into(), signals)?;
        Ok(stop)
    }
    // ANCHOR_END: on

    /// Returns whether the stop has been requested.
    pub fn is_requested(&self) -> bool {
        is_readable(&[self.as_fd()], Some(Duration::ZERO))[0]
    }

    /// Requests the stop from within the server, without waiting for the server to end.
    pub fn request(&self) {
        let _ = (&self.write).write(b"!"); // a full pipe is readable, too
    }

    /// Blocks until the stop is requested.
    pub fn wait(&self) {
        while !is_readable(&[self.as_fd()], None)[0] {}
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl StopTrigger {
    /// Requests the stop.
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub fn stop(mut self) -> io::Result<()> {
        self.0.write_all(b"!")
    }
}

/// Blocks until one of the descriptors is readable, or until `within` has elapsed
/// (`None`: without end), and returns for each descriptor whether it is readable. Uses
/// poll(2), the subject of chapter 4. A listener may be reported as readable although
/// no client is waiting.
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
            Ok(_) | Err(Errno::EINTR) => {} // a signal, or a wake-up slightly too early
            // The kernel has no memory, or the limit on descriptors was lowered below
            // the number of polled ones (poll(2)). Each descriptor is checked by
            // itself; the pause keeps an error that lasts from occupying the processor.
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
