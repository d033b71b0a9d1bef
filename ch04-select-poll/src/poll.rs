//! The poller `poll`, and its server: a list of descriptors goes to the kernel, which
//! marks the ready ones.
//!
//! There is no limit of 1024 descriptors as with `select`, and one list instead of
//! three sets. But the whole list goes to the kernel with every call, the kernel checks
//! every descriptor on it, and the caller searches all of it for the marks: the work is
//! proportional to the number of registered descriptors, not to the number of ready
//! ones.
//!
//! ```
//! use ch03_nonblocking::poller::{Interest, Poller, Token};
//! use ch04_select_poll::poll::Poll;
//! use std::io::Write;
//! use std::os::fd::AsFd;
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, mut theirs) = UnixStream::pair()?;
//! ours.set_nonblocking(true)?;
//! let token = Token { index: 7, generation: 0 };
//! let mut poller = Poll::default();
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

use crate::sys;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use libc::{POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// The event bit for a peer that has shut down its sending side. Systems other than
/// Linux and FreeBSD lack this bit. There, a read that returns 0 shows that the peer
/// has shut it down; macOS also sets POLLHUP.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const POLLRDHUP: libc::c_short = libc::POLLRDHUP;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const POLLRDHUP: libc::c_short = 0;

// ANCHOR: poll
/// A poller that passes the kernel a list of descriptors.
#[derive(Debug, Default)]
pub struct Poll {
    /// The list that the kernel checks.
    list: Vec<libc::pollfd>,
    /// For each entry of the list, its token.
    tokens: Vec<Token>,
    /// For each descriptor number, the index of its entry in the list; `None` if the
    /// descriptor is not in the list.
    index_by_fd: Vec<Option<usize>>,
}

impl Poller for Poll {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        let number = fd as usize; // a borrowed descriptor is not negative
        if self.index_by_fd.len() <= number {
            self.index_by_fd.resize(number + 1, None);
        }
        self.index_by_fd[number] = Some(self.list.len());
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
        let index = self.index_of(fd.as_raw_fd())?;
        self.list[index].events = events(interest);
        self.tokens[index] = token;
        Ok(())
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        let index = self.index_of(fd.as_raw_fd())?;
        self.index_by_fd[fd.as_raw_fd() as usize] = None;
        self.list.swap_remove(index);
        self.tokens.swap_remove(index);
        // `swap_remove` has moved the last entry to the index of the removed entry.
        if let Some(moved) = self.list.get(index) {
            self.index_by_fd[moved.fd as usize] = Some(index);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let ready_count = sys::poll(&mut self.list, timeout)?;
        let marked = self.list.iter().zip(&self.tokens);
        let marked = marked.filter(|(polled, _)| polled.revents != 0);
        let marked = marked.map(|(polled, &token)| meaning(polled.revents, token));
        ready.extend(marked.take(ready_count));
        Ok(())
    }
}
// ANCHOR_END: poll

// ANCHOR: meaning
/// Returns the event for the bits that the kernel has set in a list entry.
#[cfg(not(target_vendor = "apple"))]
fn meaning(marks: libc::c_short, token: Token) -> Ready {
    let any = |bits| marks & bits != 0;
    Ready {
        token,
        readable: any(POLLIN),
        writable: any(POLLOUT),
        eof: any(POLLRDHUP),
        broken: any(POLLERR | POLLHUP | POLLNVAL),
    }
}
// ANCHOR_END: meaning

/// Returns the event for the bits that the kernel has set in a list entry. macOS sets
/// POLLHUP as soon as the peer has finished sending, so there POLLHUP only means that a
/// read and a write should be tried.
#[cfg(target_vendor = "apple")]
fn meaning(marks: libc::c_short, token: Token) -> Ready {
    let any = |bits| marks & bits != 0;
    Ready {
        token,
        readable: any(POLLIN | POLLHUP),
        writable: any(POLLOUT | POLLHUP),
        eof: any(POLLHUP),
        broken: any(POLLERR | POLLNVAL),
    }
}

impl Poll {
    fn index_of(&self, fd: RawFd) -> io::Result<usize> {
        let index = self.index_by_fd.get(fd as usize).copied().flatten();
        index.ok_or_else(|| ErrorKind::NotFound.into())
    }
}

// ANCHOR: events
/// Returns the event bits of poll(2) that correspond to an interest.
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
// ANCHOR_END: events

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
    event_loop::run(Poll::default(), listener, site, options, stop)
}
