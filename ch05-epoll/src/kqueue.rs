//! `kqueue`: the same idea on the BSDs and on macOS, where it was born.
//!
//! The kernel keeps the list, one entry for a descriptor *and a filter*: to read and to
//! write are watched apart. And one call does everything: kevent(2) takes a list of
//! changes, and gives a list of events (kqueue(2); TLPI, which is about Linux, only
//! mentions it).
//!
//! Here everything is watched with `EV_CLEAR`, which is what edge-triggered is for
//! `epoll`: an event is reported when something happens, and not again for as long as it
//! is so.
//!
//! Two things are reported less clearly than by `epoll`:
//! - Urgent data (send(2), MSG_OOB), at which a read stops short of what is behind it.
//!   macOS and OpenBSD have a filter for it (`EVFILT_EXCEPT` with `NOTE_OOB`), FreeBSD has
//!   none. So a short read does not prove that a socket is drained, and each request costs
//!   one more read, which fails with `EWOULDBLOCK`.
//! - A failed connection. It is reported as the end of file (`EV_EOF`), like a closed one;
//!   `fflags` has the error, until a read or a write has returned it.

use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use nix::errno::Errno;
use nix::sys::event::{self, EvFlags, EventFilter, FilterFlag, KEvent};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// So many events are taken with one call; the others with the next.
const AT_ONCE: usize = 512;

/// The kernel keeps a number as wide as a pointer for us: a token fits into 64 bits.
const _: () = assert!(usize::BITS >= 64);

// ANCHOR: kqueue
/// A mechanism that has the kernel remember.
#[derive(Debug)]
pub struct Kqueue {
    kernel: event::Kqueue,
    events: Vec<KEvent>,
}

impl Kqueue {
    /// An empty list in the kernel.
    pub fn new() -> io::Result<Kqueue> {
        let nobody = Token { index: 0, generation: 0 };
        let empty = entry(0, EventFilter::EVFILT_READ, EvFlags::empty(), nobody);
        Ok(Kqueue { kernel: event::Kqueue::new()?, events: vec![empty; AT_ONCE] })
    }

    fn change(&self, changes: &[KEvent]) -> io::Result<()> {
        self.kernel.kevent(changes, &mut [], None)?; // without room for events it waits for none
        Ok(())
    }
}

impl Poller for Kqueue {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        // What is watched already, and is watched again, is told again if it is so.
        let add = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
        if interest.has(Interest::READ) {
            self.change(&[entry(fd.as_raw_fd(), EventFilter::EVFILT_READ, add, token)])?;
        }
        if interest.has(Interest::WRITE) {
            self.change(&[entry(fd.as_raw_fd(), EventFilter::EVFILT_WRITE, add, token)])?;
        }
        Ok(())
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        // What is not wanted any more stays: being told once costs less than to say so.
        self.register(fd, token, interest)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        for filter in [EventFilter::EVFILT_READ, EventFilter::EVFILT_WRITE] {
            let delete = entry(fd.as_raw_fd(), filter, EvFlags::EV_DELETE, token);
            match self.kernel.kevent(&[delete], &mut [], None) {
                Ok(_) | Err(Errno::ENOENT) => {} // it was not watched for that
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|timeout| *TimeSpec::from_duration(timeout).as_ref());
        let found = match self.kernel.kevent(&[], &mut self.events, timeout) {
            Err(Errno::EINTR) => 0, // a signal came in between
            found => found?,
        };
        ready.extend(self.events[..found].iter().map(|event| {
            let is = |filter| event.filter() == Ok(filter);
            let over = event.flags().contains(EvFlags::EV_EOF);
            Ready {
                token: Token::from_bits(event.udata() as u64),
                readable: is(EventFilter::EVFILT_READ),
                writable: is(EventFilter::EVFILT_WRITE),
                // Also where it is not the end: a read may stop short at urgent data.
                eof: is(EventFilter::EVFILT_READ),
                // The end of a connection that failed brings the error with it. That
                // of the sending side only means that writing fails.
                broken: over && !event.fflags().is_empty(),
            }
        }));
        Ok(())
    }
}

/// An entry of the list: to be changed, or that something has happened to.
fn entry(fd: i32, filter: EventFilter, flags: EvFlags, token: Token) -> KEvent {
    let bits = token.to_bits() as isize;
    KEvent::new(fd as usize, filter, flags, FilterFlag::empty(), 0, bits)
}
// ANCHOR_END: kqueue

/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Kqueue::new()?, listener, site, options, stop)
}
