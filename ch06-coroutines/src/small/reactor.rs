// ANCHOR: watch
//! The one place where the thread waits, for all its descriptors and deadlines.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

/// The descriptors and deadlines that tasks wait for. Each is reported by its identity,
/// a number that the caller chooses.
pub struct Reactor {
    epoll: Epoll,
    /// The deadlines with their identities, the earliest first.
    deadlines: BTreeSet<(Instant, u64)>,
}

impl Reactor {
    /// Returns a reactor with nothing to wait for.
    ///
    /// # Errors
    ///
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Reactor> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Reactor { epoll, deadlines: BTreeSet::new() })
    }

    /// Watches a descriptor until it is closed. `id` is reported when bytes, a client
    /// or room for output *arrive* (edge-triggered): whatever was reported before, and
    /// is still there, is not reported again.
    ///
    /// # Errors
    ///
    /// Those of epoll_ctl(2).
    pub fn watch(&self, descriptor: impl AsFd, id: u64) -> io::Result<()> {
        let both = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
        let event = EpollEvent::new(both | EpollFlags::EPOLLET, id);
        Ok(self.epoll.add(descriptor, event)?)
    }

    // ANCHOR_END: watch
    // ANCHOR: wait
    /// Adds a deadline: `id` is reported once, at the time `time`.
    pub fn set_deadline(&mut self, time: Instant, id: u64) {
        self.deadlines.insert((time, id));
    }

    /// Removes a deadline, which may have been reported already.
    pub fn clear_deadline(&mut self, time: Instant, id: u64) {
        self.deadlines.remove(&(time, id));
    }

    /// Returns the identities to report. If there are none and `may_sleep` is true,
    /// waits first.
    ///
    /// # Errors
    ///
    /// Those of epoll_wait(2).
    pub fn wait(&mut self, may_sleep: bool) -> io::Result<Vec<u64>> {
        let timeout = if may_sleep { self.timeout() } else { EpollTimeout::ZERO };
        let mut events = [EpollEvent::empty(); 256];
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0, // a signal
            count => count?,
        };
        let mut ids: Vec<u64> = events[..count].iter().map(EpollEvent::data).collect();
        let now = Instant::now();
        while let Some(&(time, id)) = self.deadlines.first()
            && time <= now
        {
            self.deadlines.pop_first();
            ids.push(id);
        }
        Ok(ids)
    }

    /// Returns how long epoll_wait(2) may wait: until the earliest deadline, if any.
    fn timeout(&self) -> EpollTimeout {
        let Some((first, _)) = self.deadlines.first() else {
            return EpollTimeout::NONE;
        };
        let left = first.saturating_duration_since(Instant::now());
        // The timeout is rounded up: if the wait ended too early, the loop would only
        // wait again.
        let milliseconds = left.as_nanos().div_ceil(1_000_000);
        EpollTimeout::try_from(milliseconds).unwrap_or(EpollTimeout::MAX)
    }
}
// ANCHOR_END: wait
