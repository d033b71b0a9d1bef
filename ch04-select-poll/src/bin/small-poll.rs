// ANCHOR: head
//! One thread that sleeps in poll(2) until at least one connection can go on.
//!
//! The thread keeps no list between the calls to poll(2): each round makes a list of
//! all connections, the kernel checks all of it, and the thread searches all of it for
//! events. This server has no limit on the number of connections, and no limit on the
//! time that a stop takes.
#![allow(unsafe_code)] // poll

use ch01_blocking::small::{self, signals};
use ch03_nonblocking::small::{Connection, Wait};
use nix::errno::Errno;
use nix::libc::{self, POLLIN, POLLOUT, pollfd};
use nix::sys::signal::Signal;
use std::io::{self, ErrorKind, PipeReader};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

// ANCHOR_END: head
// ANCHOR: poll
/// Returns an entry for poll(2)'s list: a descriptor, and the events to look for. In
/// `revents` the kernel returns the events that it has found. It skips an entry without
/// a descriptor.
fn entry(fd: Option<BorrowedFd<'_>>, events: libc::c_short) -> pollfd {
    pollfd { fd: fd.map_or(-1, |fd| fd.as_raw_fd()), events, revents: 0 }
}

/// Blocks until an entry has an event, a signal arrives, or the timeout passes. Without
/// a timeout it blocks without limit.
///
/// # Errors
///
/// The errors of poll(2), except EINTR.
fn poll(list: &mut [pollfd], timeout: Option<Duration>) -> io::Result<()> {
    // The timeout is rounded up: if the call returned too early, the loop would only
    // call it again.
    let milliseconds = |time: Duration| time.as_nanos().div_ceil(1_000_000);
    let timeout = timeout.map_or(-1, |time| milliseconds(time) as libc::c_int);
    let length = list.len() as libc::nfds_t;
    // SAFETY: address and length are those of a slice borrowed during the call.
    match Errno::result(unsafe { libc::poll(list.as_mut_ptr(), length, timeout) }) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

// ANCHOR_END: poll
// ANCHOR: list
/// Everything that the thread remembers between two calls to poll(2).
struct Server {
    /// The listener; `None` after the stop.
    listener: Option<TcpListener>,
    /// The end of a pause in which no client is accepted; `None` if there is no pause.
    pause: Option<Instant>,
    connections: Vec<(Connection, Wait)>,
}

impl Server {
    /// Returns the list for the next call to poll(2): an entry for the stop pipe, one
    /// for the listener, and one for each connection.
    fn list(&self, stop: &PipeReader) -> Vec<pollfd> {
        let accepting = self.listener.as_ref().filter(|_| self.pause.is_none());
        let mut list = vec![
            entry(Some(stop.as_fd()), POLLIN),
            entry(accepting.map(AsFd::as_fd), POLLIN),
        ];
        list.extend(self.connections.iter().map(|(connection, wait)| match wait {
            Wait::Read => entry(Some(connection.as_fd()), POLLIN),
            Wait::Write => entry(Some(connection.as_fd()), POLLOUT),
            // A connection that only waits until a point in time has an entry without a
            // descriptor. With the descriptor, poll(2) would report a reset of the
            // connection in every round, even with 0 in `events`.
            Wait::Time => entry(None, 0),
        }));
        list
    }

    /// Returns how long the next call to poll(2) may block: until the first deadline of
    /// a connection or the end of the pause in accepting. `None`: without limit.
    fn timeout(&self) -> Option<Duration> {
        let due = self.connections.iter().map(|(connection, _)| connection.due());
        let first = due.chain(self.pause).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }
}

// ANCHOR_END: list
// ANCHOR: drive
impl Server {
    /// Drives each connection whose entry has an event, or whose deadline has passed.
    fn drive(&mut self, entries: &[pollfd], now: Instant) {
        let mut entries = entries.iter();
        self.connections.retain_mut(|(connection, wait)| {
            let marked = entries.next().is_some_and(|entry| entry.revents != 0);
            if !marked && now < connection.due() {
                return true;
            }
            let next = connection.drive(now);
            *wait = next.unwrap_or(*wait);
            next.is_some()
        });
    }

    /// Accepts clients, at most 64. If more wait, the next call to poll(2) reports the
    /// listener again.
    fn accept(&mut self, now: Instant) {
        for _ in 0..64 {
            match self.listener.as_ref().map(TcpListener::accept) {
                Some(Ok((socket, _))) => {
                    let connection = Connection::new(socket, now).ok();
                    self.connections.extend(connection.map(|new| (new, Wait::Read)));
                }
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                    // The error is usually EMFILE: no descriptor is left, the client
                    // waits in the backlog, and poll(2) would report the listener in
                    // every round. So the listener is left out of the list for a
                    // moment.
                    self.pause = Some(now + signals::PAUSE);
                    return;
                }
                Some(Err(_)) | None => return,
            }
        }
    }
}

// ANCHOR_END: drive
// ANCHOR: main
fn main() -> io::Result<()> {
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let (listener, connections) = (Some(listener), Vec::new());
    let mut server = Server { listener, pause: None, connections };
    while server.listener.is_some() || !server.connections.is_empty() {
        let mut list = server.list(&stop);
        poll(&mut list, server.timeout())?;
        let now = Instant::now();
        if list[0].revents != 0 && signals::take(&stop) {
            server.listener = None; // further connections are refused
            server.connections.iter().for_each(|(connection, _)| connection.hang_up());
        }
        server.drive(&list[2..], now);
        if list[1].revents != 0 {
            server.accept(now);
        }
        server.pause = server.pause.filter(|&end| now < end);
    }
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;
    use nix::libc::POLLHUP;
    use std::io::Write;

    #[test]
    fn a_mark_stays_until_its_reason_has_gone() -> io::Result<()> {
        let (reader, mut writer) = io::pipe()?;
        let mut list = [entry(Some(reader.as_fd()), POLLIN), entry(None, POLLIN)];
        let mut marks = |timeout| {
            poll(&mut list, timeout)?;
            io::Result::Ok((list[0].revents, list[1].revents))
        };
        assert_eq!(marks(Some(Duration::from_millis(1)))?, (0, 0));
        writer.write_all(b"unread")?;
        assert_eq!(marks(None)?, (POLLIN, 0));
        assert_eq!(marks(None)?, (POLLIN, 0)); // the bytes are still unread
        drop(writer);
        // poll(2) reports POLLHUP although `events` did not ask for it.
        assert_eq!(marks(None)?, (POLLIN | POLLHUP, 0));
        Ok(())
    }
}
// ANCHOR_END: tests
