//! The poller `spin`, and its server: every descriptor is tried, again and again.
//!
//! The simplest answer to "which descriptors are ready?" is not to know, and to try. Each
//! descriptor might be ready, so each is reported, in every round of the loop. The server
//! never waits for one client, and the processor never rests.

use crate::event_loop;
use crate::fd_table::FdTable;
use crate::poller::{Interest, Poller, Ready, Token};
use ch01_blocking::{Listener, Options, Site, Stop};
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

// ANCHOR: spin
/// A poller that reports every registered descriptor as ready.
#[derive(Debug, Default)]
pub struct Spin {
    table: FdTable,
}

impl Poller for Spin {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.table.set(fd, token, interest);
        Ok(())
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.table.set(fd, token, interest);
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.table.remove(fd);
        Ok(())
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        // No wait, but other programs run first, perhaps the clients: sched_yield(2).
        thread::yield_now();
        ready.extend(self.table.maybe_ready()); // a guess
        Ok(())
    }
}
// ANCHOR_END: spin

/// Serves until `stop` is requested and the connections are drained.
///
/// # Errors
///
/// The errors of [`event_loop::run`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Spin::default(), listener, site, options, stop)
}
