//! The trait [`Poller`]: every polling mechanism of chapters 3 to 5 implements it, and
//! so answers the question "which descriptors are ready?".
//!
//! The caller registers the descriptors that it cares about, and [`Poller::wait`]
//! returns the ones that are ready. `spin` guesses, `sigio` is notified by signals,
//! `select`, `poll` and `epoll` ask the kernel in better and better ways. Each
//! mechanism is one file that implements [`Poller`], and one event loop drives them
//! all.
//!
//! ```
//! use ch03_nonblocking::poller::{Interest, Poller, Token};
//! use ch03_nonblocking::spin::Spin;
//! use std::io::Write;
//! use std::os::fd::AsFd;
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, mut theirs) = UnixStream::pair()?;
//! ours.set_nonblocking(true)?;
//! let token = Token { index: 7, generation: 0 };
//! let mut poller = Spin::default();
//! poller.register(ours.as_fd(), token, Interest::READ)?;
//! theirs.write_all(b"!")?;
//! let mut ready = Vec::new();
//! poller.wait(&mut ready, None)?;
//! assert!(ready[0].token == token && ready[0].readable);
//! poller.deregister(ours.as_fd(), token)?;
//! # std::io::Result::Ok(())
//! ```

use std::io;
use std::ops::BitOr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

// ANCHOR: token
/// The name of a connection in the events of a poller: an index into a table, and a
/// generation.
///
/// Indices are reused, as descriptors are. An event may still be pending when its
/// connection has been closed and its index belongs to a new connection. The generation
/// tells the two connections apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The connection's index in the event loop's [`Table`](crate::table::Table).
    pub index: u32,
    /// The number of connections that had this index before.
    pub generation: u32,
}
// ANCHOR_END: token

impl Token {
    /// Returns the token as one number, for a kernel interface that stores one number
    /// with each descriptor.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// Returns the token from which [`to_bits`](Token::to_bits) made `bits`.
    pub const fn from_bits(bits: u64) -> Token {
        Token { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

// ANCHOR: interest
/// The kinds of readiness that a poller reports for a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// No readiness. An error or a hang-up may be reported even so.
    pub const NONE: Interest = Interest(0);
    /// Readiness to read: bytes, an end of file, or a connection to accept.
    pub const READ: Interest = Interest(1);
    /// Readiness to write: there is room in the send buffer.
    pub const WRITE: Interest = Interest(2);

    /// Readiness to accept a connection. If several pollers wait for the same listener,
    /// one wake-up is enough: a mechanism that can limit the wake-ups to one does so.
    pub const ACCEPT: Interest = Interest(1 | 4);

    /// Returns whether the interest includes all of `other`.
    pub const fn has(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}
// ANCHOR_END: interest

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

// ANCHOR: ready
/// An event: the readiness of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token that the descriptor was registered with.
    pub token: Token,
    /// Whether a read would return without blocking.
    pub readable: bool,
    /// Whether a write would return without blocking.
    pub writable: bool,
    /// Whether a read that returns fewer bytes than were asked for may leave something
    /// unread: an end of file, or the bytes behind urgent data, at which a read stops.
    pub eof: bool,
    /// Whether the connection has failed or has ended in both directions.
    pub broken: bool,
}
// ANCHOR_END: ready

impl Ready {
    /// Returns an event with every readiness that this interest includes, for a
    /// mechanism that does not know which kinds of readiness hold.
    pub fn maybe(token: Token, interest: Interest) -> Ready {
        Ready {
            token,
            readable: interest.has(Interest::READ),
            writable: interest.has(Interest::WRITE),
            eof: interest.has(Interest::READ),
            broken: false,
        }
    }
}

// ANCHOR: poller
/// A mechanism that reports which descriptors are ready.
///
/// # What a poller promises
/// - Events are **hints**. An event may be spurious or stale, so a read or a write
///   after it may still fail with `WouldBlock`; every descriptor is non-blocking.
/// - Readiness is reported **at least once**: when it begins, or, if it exists already,
///   after the descriptor is registered. Some mechanisms go on reporting it as long as
///   it lasts (`poll`), others do not (signals, edge-triggered `epoll`); callers must
///   not rely on repetition. So a caller remembers each event, and tries to read or
///   write before it waits for another event.
/// - After an event without `eof`, a read that returned fewer bytes than were asked for
///   has drained the descriptor, and the next arrival is reported. After an event with
///   `eof`, the caller reads until end of file or `WouldBlock`: an end of file that
///   arrived with the last bytes may not be reported again.
/// - `broken` is reported whatever the interest, perhaps repeatedly: the connection
///   must be closed. Perhaps nothing is wrong: `broken` may also mean that both sides
///   have shut down in good order.
/// - A method fails with the error of its system call, and `register` also if the
///   mechanism cannot watch the descriptor. If `register` fails, the descriptor counts
///   as not registered. A signal that interrupts `wait` is not an error.
///
/// # What a poller may expect of its caller
/// - A descriptor is registered once, reregistered only while it is registered, and
///   deregistered before it is closed.
pub trait Poller {
    /// Adds a descriptor to those that [`wait`](Poller::wait) reports.
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Changes the token and the interest of a registered descriptor.
    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Removes a descriptor from those that [`wait`](Poller::wait) reports.
    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()>;

    /// Blocks until a descriptor is ready or `timeout` has elapsed, and appends the
    /// events to `ready`.
    ///
    /// A `timeout` of `None` is no limit. The timeout is rounded up to the mechanism's
    /// unit. The call may also return early with no events.
    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()>;
}
// ANCHOR_END: poller
