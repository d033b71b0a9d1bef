//! `poll`: a list of descriptors goes to the kernel, and comes back with marks.
//!
//! No wall at 1024 as `select` has it, and one list instead of three sets. But the
//! whole list goes in with every call, the kernel asks every descriptor on it, and
//! we look through all of it for the marks: the work is in proportion to those who
//! are watched, not to those who are ready.

use crate::sys;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// That the other side has finished sending: only Linux and FreeBSD tell. Elsewhere it
/// is found by reading.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const POLLRDHUP: libc::c_short = libc::POLLRDHUP;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const POLLRDHUP: libc::c_short = 0;

/// That the connection is over. But macOS says so already when the other side has
/// finished sending, and so it means there: try to read and to write.
const HALF_OVER: libc::c_short = if cfg!(target_vendor = "apple") { POLLHUP } else { 0 };

// ANCHOR: poll
/// A mechanism that asks the kernel with a list.
#[derive(Debug, Default)]
pub struct Poll {
    /// What the kernel sees.
    list: Vec<libc::pollfd>,
    /// Whose each of them is.
    tokens: Vec<Token>,
    /// Where in the list a descriptor is, by its number.
    places: Vec<Option<usize>>,
}

impl Poller for Poll {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        let at = fd as usize; // a borrowed descriptor is not negative
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        self.places[at] = Some(self.list.len());
        self.list.push(libc::pollfd { fd, events: events(interest), revents: 0 });
        self.tokens.push(token);
        Ok(())
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let place = self.place(fd.as_raw_fd())?;
        self.list[place].events = events(interest);
        self.tokens[place] = token;
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        let place = self.place(fd.as_raw_fd())?;
        self.places[fd.as_raw_fd() as usize] = None;
        self.list.swap_remove(place);
        self.tokens.swap_remove(place);
        // The last one has moved into the gap.
        if let Some(moved) = self.list.get(place) {
            self.places[moved.fd as usize] = Some(place);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let found = sys::poll(&mut self.list, timeout)?;
        let marked = self.list.iter().zip(&self.tokens);
        let marked = marked.filter(|(polled, _)| polled.revents != 0);
        ready.extend(marked.take(found).map(|(polled, &token)| {
            let any = |bits| polled.revents & bits != 0;
            Ready {
                token,
                readable: any(POLLIN | HALF_OVER),
                writable: any(POLLOUT | HALF_OVER),
                eof: any(POLLRDHUP | HALF_OVER),
                broken: any((POLLERR | POLLHUP | POLLNVAL) & !HALF_OVER),
            }
        }));
        Ok(())
    }
}
// ANCHOR_END: poll

impl Poll {
    fn place(&self, fd: RawFd) -> io::Result<usize> {
        let place = self.places.get(fd as usize).copied().flatten();
        place.ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn events(interest: Interest) -> libc::c_short {
    let mut events = 0;
    if interest.has(Interest::READ) {
        events |= POLLIN | POLLRDHUP;
    }
    if interest.has(Interest::WRITE) {
        events |= POLLOUT;
    }
    events
}

/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Poll::default(), listener, site, options, stop)
}
