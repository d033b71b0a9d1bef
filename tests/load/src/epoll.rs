//! Waiting with epoll(7), level-triggered. A timer ends each wait in the open loop, because
//! epoll_wait(2) counts in milliseconds, and the open loop's schedule in nanoseconds.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Event;
use super::connection::Connection;

/// Events fetched per `epoll_wait`; any others are fetched by the next call.
const MAX_EVENTS: usize = 512;
/// The timer's token; no client has it.
const TIMER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Poller {
    kernel: Epoll,
    timer: TimerFd,
    events: Vec<EpollEvent>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let kernel = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // The timer is edge-triggered, so its expirations need not be read: setting it again rearms
        // it.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        kernel.add(timer.as_fd(), EpollEvent::new(flags, TIMER))?;
        Ok(Poller { kernel, timer, events: vec![EpollEvent::empty(); MAX_EVENTS] })
    }

    /// Registers the socket of the client `index`. Closing the socket deregisters it.
    pub(super) fn add(
        &self,
        socket: impl AsFd,
        index: usize,
        write: bool,
    ) -> io::Result<()> {
        Ok(self.kernel.add(socket, event(index, write))?)
    }

    /// Changes whether the socket of the client `index` is watched for writability.
    pub(super) fn change(
        &self,
        socket: impl AsFd,
        index: usize,
        write: bool,
    ) -> io::Result<()> {
        Ok(self.kernel.modify(socket, &mut event(index, write))?)
    }

    /// Waits until a socket is ready or `most` has passed. The waiting time is exact if `exactly`
    /// is set, and otherwise rounded to milliseconds. Returns the number of events.
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
            Err(Errno::EINTR) => Ok(0), // for example, the process was stopped and continued
            found => Ok(found?),
        }
    }

    /// Returns event number `at` of the last wait, or `None` if the event is the timer's.
    #[inline]
    pub(super) fn event(&self, at: usize) -> Option<Event> {
        let event = self.events[at];
        let any = |flags| event.events().intersects(flags);
        (event.data() != TIMER).then(|| Event {
            index: event.data() as usize,
            // An error or the end of file counts as readable, because a read reports it.
            readable: any(EpollFlags::EPOLLIN
                | EpollFlags::EPOLLERR
                | EpollFlags::EPOLLHUP),
            writable: any(EpollFlags::EPOLLOUT),
        })
    }
}

fn event(index: usize, write: bool) -> EpollEvent {
    let mut flags = EpollFlags::EPOLLIN;
    flags.set(EpollFlags::EPOLLOUT, write);
    EpollEvent::new(flags, index as u64)
}
