//! `epoll`: the kernel keeps the list, and tells only of those who are ready.
//!
//! `poll` hands over the whole list with every call. Here it is handed over once, a
//! descriptor at a time (epoll_ctl(2)), and stays in the kernel. When bytes arrive for a
//! descriptor, the kernel puts it on a second list, of those who are ready, and
//! epoll_wait(2) copies that list out. So a wait costs what is ready, not what is
//! watched (TLPI 63.4).
//!
//! In two fashions: *level-triggered*, it tells as long as a descriptor is ready, as
//! `poll` does; *edge-triggered*, it tells when a descriptor becomes ready, once. The
//! event loop relies on nothing but the latter, so it need not know which it is.
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

/// So many events are taken with one call; the others with the next.
const AT_ONCE: usize = 512;

// ANCHOR: epoll
/// A mechanism that has the kernel remember.
#[derive(Debug)]
pub struct Epoll {
    kernel: epoll::Epoll,
    events: Vec<EpollEvent>,
    trigger: Trigger,
    /// That a listener's every waiter is woken, though one would do.
    waking_all: bool,
}

/// When the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as it is so.
    Level,
    /// When it becomes so.
    Edge,
}

impl Epoll {
    /// An empty list in the kernel.
    /// An error means that there are no descriptors left.
    pub fn new(trigger: Trigger) -> io::Result<Epoll> {
        Ok(Epoll {
            kernel: epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); AT_ONCE],
            trigger,
            waking_all: false,
        })
    }

    /// The same, in a herd: of several loops that wait for one listener, each is woken.
    /// For measuring what that costs.
    pub fn waking_all(self, waking_all: bool) -> Epoll {
        Epoll { waking_all, ..self }
    }

    fn event(&self, token: Token, interest: Interest) -> EpollEvent {
        let mut flags = EpollFlags::empty();
        if interest.has(Interest::ACCEPT) {
            flags |= EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLEXCLUSIVE, !self.waking_all);
        } else if self.trigger == Trigger::Edge {
            // For everything, once and for all: what is told is remembered.
            flags |= EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT;
            flags |= EpollFlags::EPOLLPRI;
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
}

impl Poller for Epoll {
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
            Trigger::Edge => Ok(()), // it is told everything already
            Trigger::Level => {
                match self.kernel.modify(fd, &mut self.event(token, interest)) {
                    // What is watched exclusively cannot be changed (epoll_ctl(2)).
                    Err(Errno::EINVAL) => {
                        self.kernel.delete(fd)?;
                        self.register(fd, token, interest)
                    }
                    told => Ok(told?),
                }
            }
        }
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, _: Token) -> io::Result<()> {
        Ok(self.kernel.delete(fd)?)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            EpollTimeout::try_from(milliseconds(timeout)).unwrap_or(EpollTimeout::MAX)
        });
        let found = match self.kernel.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => 0, // a signal came in between
            found => found?,
        };
        ready.extend(self.events[..found].iter().map(|event| {
            let any = |flags| event.events().intersects(flags);
            Ready {
                token: Token::from_bits(event.data()),
                readable: any(EpollFlags::EPOLLIN),
                writable: any(EpollFlags::EPOLLOUT),
                // A read stops at urgent data (send(2), MSG_OOB), so a short one does
                // not mean that nothing is left behind it.
                eof: any(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLPRI),
                broken: any(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
            }
        }));
        Ok(())
    }
}
// ANCHOR_END: epoll

// ANCHOR: server
/// Serves until `stop`, level-triggered.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Epoll::new(Trigger::Level)?, listener, site, options, stop)
}

/// Serves until `stop`, edge-triggered.
pub fn run_edge_triggered(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    event_loop::run(Epoll::new(Trigger::Edge)?, listener, site, options, stop)
}
// ANCHOR_END: server
