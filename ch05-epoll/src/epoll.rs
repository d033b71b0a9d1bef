//! The poller `epoll`, and its servers: the kernel keeps the list of descriptors, and
//! reports only the ready ones.
//!
//! `poll` passes the whole list to the kernel with every call. `epoll` passes the list
//! once, one descriptor at a time (epoll_ctl(2)), and the list stays in the kernel.
//! When bytes arrive for a descriptor, the kernel puts it on a second list, the ready
//! list, and epoll_wait(2) copies that list out. So the cost of a wait depends on how
//! many descriptors are ready, not on how many are registered (TLPI 63.4).
//!
//! There are two modes. *Level-triggered* epoll reports a descriptor as long as it is
//! ready, as `poll` does. *Edge-triggered* epoll reports it once, when it becomes
//! ready. The event loop works with either mode, because it relies only on the weaker
//! promise, that of the edge-triggered mode.
//!
//! ```
//! use ch03_nonblocking::poller::{Interest, Poller, Token};
//! use ch05_epoll::epoll::{Epoll, Trigger};
//! use std::io::Write;
//! use std::os::fd::AsFd;
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, mut theirs) = UnixStream::pair()?;
//! ours.set_nonblocking(true)?;
//! let token = Token { index: 7, generation: 0 };
//! let mut poller = Epoll::new(Trigger::Edge)?;
//! poller.register(ours.as_fd(), token, Interest::READ)?;
//! theirs.write_all(b"!")?;
//! let mut ready = Vec::new();
//! poller.wait(&mut ready, None)?;
//! assert!(ready[0].token == token && ready[0].readable);
//! poller.deregister(ours.as_fd(), token)?;
//! # std::io::Result::Ok(())
//! ```

use ch01_blocking::deadlines::milliseconds;
use ch01_blocking::{Listener, Options, Site, Stop};
use ch03_nonblocking::event_loop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use nix::errno::Errno;
use nix::sys::epoll::{self, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Maximum number of events fetched per epoll_wait(2); the next call fetches any
/// others.
const MAX_EVENTS: usize = 512;

// ANCHOR: epoll
/// A poller whose interest list is kept by the kernel.
#[derive(Debug)]
pub struct Epoll {
    kernel: epoll::Epoll,
    events: Vec<EpollEvent>,
    trigger: Trigger,
    /// Whether the kernel wakes every loop that waits on a shared listener (the
    /// thundering herd), for measurement.
    non_exclusive: bool,
}

/// The condition under which the kernel reports a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The kernel reports the descriptor as long as it is ready.
    Level,
    /// The kernel reports the descriptor once, when it becomes ready.
    Edge,
}

impl Epoll {
    /// Creates an epoll instance with an empty list.
    ///
    /// # Errors
    ///
    /// The errors of epoll_create1(2), for instance when no descriptor is left.
    pub fn new(trigger: Trigger) -> io::Result<Epoll> {
        Ok(Epoll {
            kernel: epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); MAX_EVENTS],
            trigger,
            non_exclusive: false,
        })
    }

    /// Sets whether the kernel wakes every loop that waits on a shared listener (the
    /// thundering herd), instead of one; for measuring what the herd costs.
    pub fn non_exclusive(self, non_exclusive: bool) -> Epoll {
        Epoll { non_exclusive, ..self }
    }
    // ANCHOR_END: epoll

    // ANCHOR: event
    fn event(&self, token: Token, interest: Interest) -> EpollEvent {
        let mut flags = EpollFlags::empty();
        if interest.has(Interest::ACCEPT) {
            flags |= EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLEXCLUSIVE, !self.non_exclusive);
        } else if self.trigger == Trigger::Edge {
            // Edge-triggered: all kinds of events are registered once, and the event
            // loop remembers those that are reported.
            flags |= EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
            flags |= EpollFlags::EPOLLOUT | EpollFlags::EPOLLPRI;
        } else {
            if interest.has(Interest::READ) {
                flags |= EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
            }
            if interest.has(Interest::WRITE) {
                flags |= EpollFlags::EPOLLOUT;
            }
        }
        if self.trigger == Trigger::Edge {
            flags |= EpollFlags::EPOLLET;
        }
        EpollEvent::new(flags, token.to_bits())
    }
    // ANCHOR_END: event
}

impl Poller for Epoll {
    // ANCHOR: changes
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        Ok(self.kernel.add(fd, self.event(token, interest))?)
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self.trigger {
            // Edge-triggered: `register` has registered all kinds of events, so there
            // is nothing to change.
            Trigger::Edge => Ok(()),
            Trigger::Level => {
                match self.kernel.modify(fd, &mut self.event(token, interest)) {
                    // An exclusive registration cannot be modified (epoll_ctl(2)), so
                    // it is deleted and added again.
                    Err(Errno::EINVAL) => {
                        self.kernel.delete(fd)?;
                        self.register(fd, token, interest)
                    }
                    modified => Ok(modified?),
                }
            }
        }
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        Ok(self.kernel.delete(fd)?)
    }
    // ANCHOR_END: changes

    // ANCHOR: wait
    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            EpollTimeout::try_from(milliseconds(timeout)).unwrap_or(EpollTimeout::MAX)
        });
        let count = match self.kernel.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => 0, // interrupted by a signal
            count => count?,
        };
        ready.extend(self.events[..count].iter().map(|event| {
            let any = |flags| event.events().intersects(flags);
            Ready {
                token: Token::from_bits(event.data()),
                readable: any(EpollFlags::EPOLLIN),
                writable: any(EpollFlags::EPOLLOUT),
                // A read stops at urgent data (send(2), MSG_OOB) although bytes may
                // follow. So `eof` is also set for urgent data.
                eof: any(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI),
                broken: any(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            }
        }));
        Ok(())
    }
    // ANCHOR_END: wait
}

// ANCHOR: server
/// Serves with level-triggered epoll until `stop` is requested and the connections are
/// drained. Fails with the errors of [`Epoll::new`] and of [`event_loop::run`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Epoll::new(Trigger::Level)?, listener, site, options, stop)
}

/// Serves with edge-triggered epoll until `stop` is requested and the connections are
/// drained. Fails with the errors of [`Epoll::new`] and of [`event_loop::run`].
pub fn run_edge_triggered(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Epoll::new(Trigger::Edge)?, listener, site, options, stop)
}
// ANCHOR_END: server
