//! The poller `kqueue`, and its server: the counterpart of `epoll` on the BSDs and macOS
//! (kqueue began in FreeBSD).
//!
//! The kernel keeps the interest list, with one entry per descriptor *and filter*:
//! readable and writable are registered separately. A single system call, kevent(2),
//! takes a list of changes and returns a list of events (kqueue(2); TLPI, which is
//! about Linux, only mentions it).
//!
//! This poller sets `EV_CLEAR` on every filter, which corresponds to edge-triggered
//! `epoll`: an event is reported when its condition, such as readability, begins, and
//! not again while the condition merely lasts.
//!
//! Two things are reported less clearly than by `epoll`:
//! - Urgent data (send(2), MSG_OOB), at which a read stops, short of the bytes behind it.
//!   macOS and OpenBSD have a filter for it (`EVFILT_EXCEPT` with `NOTE_OOB`), FreeBSD has
//!   none. So a short read does not prove that a socket is drained, and each request costs
//!   one more read, which fails with `EWOULDBLOCK`.
//! - A failed connection. It is reported with an end of file (`EV_EOF`), like a closed
//!   connection; `fflags` has the error, until a read or a write has returned it.

use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use nix::errno::Errno;
use nix::sys::event::{self, EvFlags, EventFilter, FilterFlag, KEvent};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Maximum number of events per kevent(2); any others are returned by the next call.
const MAX_EVENTS: usize = 512;

// The kernel stores one pointer-sized number with each entry: the 64 bits of a token
// must fit.
const _: () = assert!(usize::BITS >= 64);

// ANCHOR: kqueue
/// A poller whose interest list is kept by the kernel.
#[derive(Debug)]
pub struct Kqueue {
    kernel: event::Kqueue,
    events: Vec<KEvent>,
}

impl Kqueue {
    /// Returns a poller with an empty interest list.
    ///
    /// # Errors
    ///
    /// The errors of kqueue(2).
    pub fn new() -> io::Result<Kqueue> {
        let unused = Token { index: 0, generation: 0 };
        let empty = entry(0, EventFilter::EVFILT_READ, EvFlags::empty(), unused);
        Ok(Kqueue { kernel: event::Kqueue::new()?, events: vec![empty; MAX_EVENTS] })
    }

    /// Applies changes to the interest list.
    fn change(&self, changes: &[KEvent]) -> io::Result<()> {
        // The list for events is empty, so kevent(2) returns at once.
        self.kernel.kevent(changes, &mut [], None)?;
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
        // `EV_ADD` on a filter that is already registered re-arms the filter: if its
        // condition still holds, it is reported again.
        let add = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
        let fd = fd.as_raw_fd();
        if interest.has(Interest::READ) {
            self.change(&[entry(fd, EventFilter::EVFILT_READ, add, token)])?;
        }
        if interest.has(Interest::WRITE) {
            self.change(&[entry(fd, EventFilter::EVFILT_WRITE, add, token)])?;
        }
        Ok(())
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        // A filter that the new interest does not include stays registered: one
        // spurious event costs less than a call to remove the filter.
        self.register(fd, token, interest)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        for filter in [EventFilter::EVFILT_READ, EventFilter::EVFILT_WRITE] {
            let delete = entry(fd.as_raw_fd(), filter, EvFlags::EV_DELETE, token);
            match self.kernel.kevent(&[delete], &mut [], None) {
                Ok(_) | Err(Errno::ENOENT) => {} // the filter was not registered
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
        let count = match self.kernel.kevent(&[], &mut self.events, timeout) {
            Err(Errno::EINTR) => 0, // interrupted by a signal
            count => count?,
        };
        ready.extend(self.events[..count].iter().map(|event| {
            let is = |filter| event.filter() == Ok(filter);
            let has_ended = event.flags().contains(EvFlags::EV_EOF);
            Ready {
                token: Token::from_bits(event.udata() as u64),
                readable: is(EventFilter::EVFILT_READ),
                writable: is(EventFilter::EVFILT_WRITE),
                // `eof` is set for every readable socket, so that a short read does not
                // count as proof that the socket is drained: a read also stops at
                // urgent data.
                eof: is(EventFilter::EVFILT_READ),
                // A failed connection has an error in `fflags`. `EV_EOF` without an
                // error is no failure: the read filter sets it at an end of file, and
                // the write filter after the sending side has been shut down.
                broken: has_ended && !event.fflags().is_empty(),
            }
        }));
        Ok(())
    }
}

/// Returns an entry of the interest list, as a change to apply.
fn entry(fd: i32, filter: EventFilter, flags: EvFlags, token: Token) -> KEvent {
    let bits = token.to_bits() as isize;
    KEvent::new(fd as usize, filter, flags, FilterFlag::empty(), 0, bits)
}
// ANCHOR_END: kqueue

/// Serves until `stop` is requested and the connections are drained.
///
/// # Errors
///
/// The errors of [`Kqueue::new`] and of [`event_loop::run`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Kqueue::new()?, listener, site, options, stop)
}
