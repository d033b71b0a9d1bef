//! Waiting, where there is no epoll: by poll(2), which is told of all of them each time.
//! It measures the same, and costs the client more the more connections it has.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection::Connection;

/// Somebody is ready, or was: a hint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub place: usize,
    pub readable: bool,
    pub writable: bool,
}

#[derive(Debug)]
pub(super) struct Waiter {
    events: Vec<Event>,
}

impl Waiter {
    pub(super) fn new() -> io::Result<Waiter> {
        Ok(Waiter { events: Vec::new() })
    }

    /// Who is watched is asked of the connections themselves.
    pub(super) fn add(&self, _: impl AsFd, _: usize, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// The same.
    pub(super) fn change(&self, _: impl AsFd, _: usize, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Waits until somebody is ready or the time is over, to the millisecond.
    pub(super) fn wait(
        &mut self,
        connections: &[Connection],
        most: Duration,
        _: bool,
    ) -> io::Result<usize> {
        self.events.clear();
        let open = |(place, one): (usize, _)| Some((place, Connection::watched(one)?));
        let (places, mut polled): (Vec<usize>, Vec<PollFd<'_>>) = connections
            .iter()
            .enumerate()
            .filter_map(open)
            .map(|(place, (socket, write))| {
                let mut flags = PollFlags::POLLIN;
                flags.set(PollFlags::POLLOUT, write);
                (place, PollFd::new(socket, flags))
            })
            .unzip();
        // Rounded up, or the last millisecond would be spent asking again and again.
        let timeout = PollTimeout::try_from(most.as_nanos().div_ceil(1_000_000));
        match poll(&mut polled, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = places.iter().zip(&polled).filter_map(|(&place, polled)| {
            let any = |flags| polled.revents().is_some_and(|told| told.intersects(flags));
            let readable =
                any(PollFlags::POLLIN | PollFlags::POLLERR | PollFlags::POLLHUP);
            let writable = any(PollFlags::POLLOUT);
            (readable || writable).then_some(Event { place, readable, writable })
        });
        self.events.extend(events);
        Ok(self.events.len())
    }

    /// One of those that the last wait found.
    pub(super) fn event(&self, at: usize) -> Option<Event> {
        self.events.get(at).copied()
    }
}
