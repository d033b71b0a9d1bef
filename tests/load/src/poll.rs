//! Waiting with poll(2), on systems without epoll(7). The measured figures mean the same as with
//! epoll(7), but every call to poll(2) passes all connections, so the client's own cost grows with
//! their number.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Event;
use super::connection::Connection;

#[derive(Debug)]
pub(super) struct Poller {
    events: Vec<Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        Ok(Poller { events: Vec::new() })
    }

    /// Does nothing: `wait` passes the whole list of connections to poll(2).
    pub(super) fn add(&self, _: impl AsFd, _: usize, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: in every call, `wait` passes to poll(2) whether each socket is watched for
    /// writability.
    pub(super) fn change(&self, _: impl AsFd, _: usize, _: bool) -> io::Result<()> {
        Ok(())
    }

    /// Waits until a socket is ready or `most` has passed, rounded up to milliseconds. Returns the
    /// number of events.
    pub(super) fn wait(
        &mut self,
        connections: &[Connection],
        most: Duration,
        _: bool,
    ) -> io::Result<usize> {
        self.events.clear();
        let open = |(index, one): (usize, _)| Some((index, Connection::watched(one)?));
        let (indices, mut polled): (Vec<usize>, Vec<PollFd<'_>>) = connections
            .iter()
            .enumerate()
            .filter_map(open)
            .map(|(index, (socket, write))| {
                let mut flags = PollFlags::POLLIN;
                flags.set(PollFlags::POLLOUT, write);
                (index, PollFd::new(socket, flags))
            })
            .unzip();
        // The timeout is rounded up: with a timeout rounded down, this thread would poll in a loop
        // during the last millisecond.
        let timeout = PollTimeout::try_from(most.as_nanos().div_ceil(1_000_000));
        match poll(&mut polled, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = indices.iter().zip(&polled).filter_map(|(&index, polled)| {
            let any = |flags| {
                polled.revents().is_some_and(|reported| reported.intersects(flags))
            };
            let readable =
                any(PollFlags::POLLIN | PollFlags::POLLERR | PollFlags::POLLHUP);
            let writable = any(PollFlags::POLLOUT);
            (readable || writable).then_some(Event { index, readable, writable })
        });
        self.events.extend(events);
        Ok(self.events.len())
    }

    /// Returns event number `at` of the last wait, or `None` if that wait returned fewer events.
    pub(super) fn event(&self, at: usize) -> Option<Event> {
        self.events.get(at).copied()
    }
}
