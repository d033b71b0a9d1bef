//! The poller `select`, and its server: bit sets go to the kernel, which leaves only the
//! bits of ready descriptors.
//!
//! select(2) is the oldest way to ask about many descriptors at once. A descriptor is a
//! bit in a set, and the set has 1024 bits. That is a hard limit: descriptor 1024 has
//! no bit, and in C, setting it anyway writes beyond the end of the set. This poller
//! refuses such a descriptor, and the event loop sends its client a 503 response.
//!
//! ```
//! use ch03_nonblocking::poller::{Interest, Poller, Token};
//! use ch04_select_poll::select::Select;
//! use std::io::Write;
//! use std::os::fd::AsFd;
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, mut theirs) = UnixStream::pair()?;
//! ours.set_nonblocking(true)?;
//! let token = Token { index: 7, generation: 0 };
//! let mut poller = Select::default();
//! poller.register(ours.as_fd(), token, Interest::READ)?;
//! theirs.write_all(b"!")?;
//! let mut ready = Vec::new();
//! for _ in 0..2 {
//!     poller.wait(&mut ready, None)?; // reported as long as the byte is not read
//! }
//! assert!(ready.len() == 2 && ready.iter().all(|event| event.token == token));
//! poller.deregister(ours.as_fd(), token)?;
//! # std::io::Result::Ok(())
//! ```

use crate::sys::{self, FdSet};
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::fd_table::FdTable;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

// ANCHOR: select
/// A poller that passes the kernel bit sets of descriptors.
#[derive(Debug)]
pub struct Select {
    table: FdTable,
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
        self.table.set(fd, token, interest);
        self.read.set(fd.as_raw_fd(), interest.has(Interest::READ));
        self.write.set(fd.as_raw_fd(), interest.has(Interest::WRITE));
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        self.table.remove(fd);
        self.read.set(fd.as_raw_fd(), false);
        self.write.set(fd.as_raw_fd(), false);
        Ok(())
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        // The kernel overwrites the sets with its result, so the call gets copies.
        let (mut read, mut write) = (self.read, self.write);
        let end = self.table.end();
        let mut ready_count = sys::select(end, &mut read, &mut write, timeout)?;
        for fd in 0..end {
            if ready_count == 0 {
                break;
            }
            let (readable, writable) = (read.has(fd), write.has(fd));
            if !(readable || writable) {
                continue;
            }
            let bits = usize::from(readable) + usize::from(writable);
            ready_count = ready_count.saturating_sub(bits);
            if let Some((token, _)) = self.table.get(fd) {
                // select(2) reports a broken connection as readable, and the read then
                // fails.
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
        Select { table: FdTable::default(), read: FdSet::new(), write: FdSet::new() }
    }
}

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
    event_loop::run(Select::default(), listener, site, options, stop)
}
