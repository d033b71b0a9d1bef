//! `select`: sets of bits go to the kernel, and come back with only those that are
//! ready.
//!
//! The oldest way of asking for many at once. A descriptor is a bit in a set, the
//! set has 1024 of them, and that is a wall: descriptor 1024 has no bit, and in C,
//! setting it all the same writes into whatever lies behind the set. Here it is
//! refused, and its client is told that there is no room.

use crate::sys::{self, FdSet};
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch03_nonblocking::watched::Watched;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

// ANCHOR: select
/// A mechanism that asks the kernel with sets of bits.
#[derive(Debug)]
pub struct Select {
    watched: Watched,
    read: FdSet,
    write: FdSet,
}

impl Poller for Select {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        if !FdSet::fits(fd.as_raw_fd()) {
            return Err(io::Error::other("select has no bit for this descriptor"));
        }
        self.reregister(fd, token, interest)
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.watched.set(fd, token, interest);
        self.read.set(fd.as_raw_fd(), interest.has(Interest::READ));
        self.write.set(fd.as_raw_fd(), interest.has(Interest::WRITE));
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.watched.remove(fd);
        self.read.set(fd.as_raw_fd(), false);
        self.write.set(fd.as_raw_fd(), false);
        Ok(())
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        // The kernel writes its answer over the question, so it is given a copy.
        let (mut read, mut write) = (self.read, self.write);
        let end = self.watched.end();
        let mut found = sys::select(end, &mut read, &mut write, timeout)?;
        for fd in 0..end {
            if found == 0 {
                break;
            }
            let (readable, writable) = (read.has(fd), write.has(fd));
            found = found.saturating_sub(usize::from(readable) + usize::from(writable));
            if let Some((token, _)) =
                self.watched.get(fd).filter(|_| readable || writable)
            {
                // What is broken can be read: the read fails.
                ready.push(Ready {
                    token,
                    readable,
                    writable,
                    eof: false,
                    broken: false,
                });
            }
        }
        Ok(())
    }
}
// ANCHOR_END: select

impl Default for Select {
    fn default() -> Select {
        Select { watched: Watched::default(), read: FdSet::new(), write: FdSet::new() }
    }
}

/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Select::default(), listener, site, options, stop)
}
