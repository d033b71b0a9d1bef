//! Who is ready? The one question that every mechanism of chapters 3 to 5 answers.
//!
//! *You give it the descriptors that you care about, and it gives you back the ones
//! that are ready.* `spin` answers by guessing, `sigio` by signals, `select`, `poll`
//! and `epoll` by asking the kernel in better and better ways. Each is one file that
//! implements [`Poller`], and one event loop drives them all.
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
/// Whom an event is about: a place in a table, and which of its tenants.
///
/// Places are used again, as descriptors are. An event may still be on its way when
/// the connection that it is about has been closed, and its place given to another.
/// The generation tells the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The place.
    pub index: u32,
    /// How many tenants it had before.
    pub generation: u32,
}
// ANCHOR_END: token

impl Token {
    /// As one number, for a kernel that keeps one for us.
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The token that this number was.
    pub const fn from_bits(bits: u64) -> Token {
        Token { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// What one wants to be told of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest(u8);

impl Interest {
    /// Nothing; what is broken may be told all the same.
    pub const NONE: Interest = Interest(0);
    /// That there is something to read, or an end of file, or a client to accept.
    pub const READ: Interest = Interest(1);
    /// That there is room to write.
    pub const WRITE: Interest = Interest(2);

    /// That there is a client to accept. Where several wait for the same listener, one of
    /// them is enough, and a mechanism that can will wake only one.
    pub const ACCEPT: Interest = Interest(1 | 4);

    /// Whether all of `other` is wanted.
    pub const fn has(self, other: Interest) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// What became of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Whose.
    pub token: Token,
    /// Reading would not wait.
    pub readable: bool,
    /// Writing would not wait.
    pub writable: bool,
    /// The other side has finished sending, or that is not known; there may be bytes to
    /// read before the end. It is said, too, of a descriptor with urgent data, at which a
    /// read stops short of what is behind it.
    pub eof: bool,
    /// The connection is over, in both directions.
    pub broken: bool,
}

impl Ready {
    /// As much as a descriptor with this interest could be ready for: what a mechanism
    /// reports that does not know better.
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
/// A mechanism that tells which descriptors are ready.
///
/// # What it promises
/// - Events are **hints**. One may come for nothing, or late, so reading or writing may
///   still find that it would have to wait; every descriptor is non-blocking.
/// - Readiness is told **at least once**: when it comes, or, if it is there already, when
///   the descriptor is registered. A mechanism may go on telling it until it is used up
///   (`poll`), or not (signals, `epoll` with edges); nobody may rely on the former. So
///   who is told must remember, and try before asking to be told.
/// - Where `eof` is unsaid, a read that brought less than was asked for has emptied the
///   descriptor, and the next arrival is told anew. Where it is said, read until the end
///   or until reading would wait: an end of file that came with the last bytes may not
///   be told again.
/// - `broken` is told whatever the interest, perhaps again and again: close it. Where
///   both sides have said their last word, it may mean no more than that.
///
/// # What it may expect
/// - A descriptor is registered once, reregistered only while it is registered, and
///   deregistered before it is closed.
pub trait Poller {
    /// Begins to watch a descriptor.
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Watches it for something else from now on.
    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()>;

    /// Watches it no longer.
    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()>;

    /// Waits until something is ready, or `timeout` is over (`None`: for ever), or for
    /// no reason; adds what is ready to the list. The timeout is rounded up.
    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()>;
}
// ANCHOR_END: poller
