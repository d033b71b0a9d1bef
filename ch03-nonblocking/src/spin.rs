//! `spin`: ask everyone, always.
//!
//! The simplest answer to "who is ready?" is not to know, and to try. Every descriptor
//! might be ready, so all are said to be, at once, every time. Nobody waits for one
//! client any more; the processor never rests.

use crate::event_loop;
use crate::poller::{Interest, Poller, Ready, Token};
use crate::watched::Watched;
use ch01_blocking::{Listener, Options, Site, Stop};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

// ANCHOR: spin
/// A mechanism that knows nothing.
#[derive(Debug, Default)]
pub struct Spin {
    watched: Watched,
}

impl Poller for Spin {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.watched.set(fd, token, interest);
        Ok(())
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.watched.set(fd, token, interest);
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.watched.remove(fd);
        Ok(())
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        ready.extend(self.watched.all()); // a guess, and no wait
        Ok(())
    }
}
// ANCHOR_END: spin

/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Spin::default(), listener, site, options, stop)
}
