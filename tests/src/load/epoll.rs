//! Waiting, where there is epoll(7): level-triggered, and a timer beside, since
//! epoll_wait(2) counts in milliseconds, and what is due in the open loop does not.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::connection::Connection;

/// So many events are taken with one call.
const AT_ONCE: usize = 512;
/// The timer's place; no connection has it.
const TIMER: u64 = u64::MAX;

/// Somebody is ready, or was: a hint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub place: usize,
    pub readable: bool,
    pub writable: bool,
}

#[derive(Debug)]
pub(super) struct Waiter {
    kernel: Epoll,
    timer: TimerFd,
    events: Vec<EpollEvent>,
}

impl Waiter {
    pub(super) fn new() -> io::Result<Waiter> {
        let kernel = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // Edge-triggered: what it tells need not be read, the next setting is an answer to it.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        kernel.add(timer.as_fd(), EpollEvent::new(flags, TIMER))?;
        Ok(Waiter { kernel, timer, events: vec![EpollEvent::empty(); AT_ONCE] })
    }

    /// Watches a connection, from now until it is closed.
    pub(super) fn add(
        &self,
        socket: impl AsFd,
        place: usize,
        write: bool,
    ) -> io::Result<()> {
        Ok(self.kernel.add(socket, event(place, write))?)
    }

    /// Watches it for something else.
    pub(super) fn change(
        &self,
        socket: impl AsFd,
        place: usize,
        write: bool,
    ) -> io::Result<()> {
        Ok(self.kernel.modify(socket, &mut event(place, write))?)
    }

    /// Waits until somebody is ready or the time is over, exactly or to the millisecond. The
    /// kernel knows whom we watch.
    pub(super) fn wait(
        &mut self,
        _: &[Connection],
        most: Duration,
        exactly: bool,
    ) -> io::Result<usize> {
        let timeout = if most.is_zero() {
            EpollTimeout::ZERO
        } else if exactly {
            let once = Expiration::OneShot(TimeSpec::from_duration(most));
            self.timer.set(once, TimerSetTimeFlags::empty())?;
            EpollTimeout::NONE
        } else {
            EpollTimeout::try_from(most.as_millis().max(1)).unwrap_or(EpollTimeout::MAX)
        };
        match self.kernel.wait(&mut self.events, timeout) {
            Err(Errno::EINTR) => Ok(0), // stopped and continued, for instance
            found => Ok(found?),
        }
    }

    /// One of those that the last wait found; none for the timer.
    #[inline]
    pub(super) fn event(&self, at: usize) -> Option<Event> {
        let event = self.events[at];
        let any = |flags| event.events().intersects(flags);
        (event.data() != TIMER).then(|| Event {
            place: event.data() as usize,
            // Errors and the end are met by reading.
            readable: any(EpollFlags::EPOLLIN
                | EpollFlags::EPOLLERR
                | EpollFlags::EPOLLHUP),
            writable: any(EpollFlags::EPOLLOUT),
        })
    }
}

fn event(place: usize, write: bool) -> EpollEvent {
    let mut flags = EpollFlags::EPOLLIN;
    flags.set(EpollFlags::EPOLLOUT, write);
    EpollEvent::new(flags, place as u64)
}
