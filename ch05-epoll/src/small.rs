// ANCHOR: head
//! One thread and epoll: the kernel remembers what each connection waits for.
//!
//! This server does not divide its time fairly (a client that sends without pause is
//! served without pause). It has no limit on the number of connections, and no limit on
//! the time that a stop takes.

use ch01_blocking::small::{self, signals};
use ch03_nonblocking::small::{Connection, Wait};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::Signal;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, PipeReader};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Instant;

// ANCHOR_END: head
// ANCHOR: server
/// The number by which epoll reports the pipe that announces the stop.
const STOP: u64 = 0;

/// The number by which epoll reports the listener.
const LISTENER: u64 = 1;

/// The state of the server between two waits.
struct Server {
    epoll: Epoll,
    stop: PipeReader,
    /// The listener; `None` after the stop.
    listener: Option<TcpListener>,
    /// The open connections, each with a number as its identity. No number is used
    /// twice, so an event or a deadline that is left from a closed connection finds no
    /// connection.
    connections: HashMap<u64, Entry>,
    last_id: u64,
    /// Deadlines, each with the number of its connection, the earliest on top. A
    /// deadline that was postponed is out of date, but stays in the heap.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    interest: Interest,
}

/// A connection, with the events that are registered in the kernel, and the deadline
/// that is in the heap `deadlines`.
struct Entry {
    connection: Connection,
    /// The events for which the socket is on the kernel's list, or `None` if it is not
    /// on the list.
    watched: Option<EpollFlags>,
    /// The connection's earliest deadline in the heap, never later than
    /// [`Connection::due`]; `None` if the heap has none.
    queued: Option<Instant>,
}

/// A function that returns the events for which the kernel watches a socket during a
/// kind of wait, or `None` for no events.
pub type Interest = fn(Wait) -> Option<EpollFlags>;

// ANCHOR_END: server
// ANCHOR: watch
impl Entry {
    /// Makes the kernel watch the connection's socket for `events`, or for none. Makes
    /// no system call if the kernel watches for these events already.
    fn watch(
        &mut self,
        epoll: &Epoll,
        id: u64,
        events: Option<EpollFlags>,
    ) -> nix::Result<()> {
        let socket = self.connection.as_fd();
        match (self.watched, events) {
            (old, new) if old == new => {}
            (None, Some(new)) => epoll.add(socket, EpollEvent::new(new, id))?,
            (_, Some(new)) => epoll.modify(socket, &mut EpollEvent::new(new, id))?,
            (_, None) => epoll.delete(socket)?,
        }
        self.watched = events;
        Ok(())
    }
}

/// Returns the events for a level-triggered server: the kernel reports an event as long
/// as its condition holds.
pub fn level(wait: Wait) -> Option<EpollFlags> {
    match wait {
        Wait::Read => Some(EpollFlags::EPOLLIN),
        Wait::Write => Some(EpollFlags::EPOLLOUT),
        // The socket of a connection that only waits until a point in time is taken off
        // the kernel's list. On the list, epoll would report a reset in every round,
        // even without interest.
        Wait::Time => None,
    }
}

// ANCHOR_END: watch
// ANCHOR: drive
impl Server {
    /// Drives a connection, and then makes the kernel watch for the events that the
    /// connection needs next.
    fn drive(&mut self, id: u64, now: Instant) {
        let Some(entry) = self.connections.get_mut(&id) else { return }; // closed
        let wait = entry.connection.drive(now);
        let events = wait.map(self.interest);
        let watched = events.map(|events| entry.watch(&self.epoll, id, events));
        if watched != Some(Ok(())) {
            // Closing the socket takes it off the kernel's list (epoll(7)).
            self.connections.remove(&id);
            return;
        }
        let due = entry.connection.due();
        if entry.queued.is_none_or(|queued| due < queued) {
            entry.queued = Some(due);
            self.deadlines.push(Reverse((due, id)));
        }
    }
}

// ANCHOR_END: drive
// ANCHOR: deadlines
impl Server {
    /// Drives each connection whose deadline has passed, and ends a pause of accepting
    /// that has lasted long enough.
    fn expire(&mut self, now: Instant) -> io::Result<()> {
        while let Some(&Reverse((time, id))) = self.deadlines.peek()
            && time <= now
        {
            self.deadlines.pop();
            if id == LISTENER {
                self.watch_listener(EpollFlags::EPOLLIN)?;
            } else if let Some(entry) = self.connections.get_mut(&id)
                && entry.queued == Some(time)
            {
                // Usually the deadline has been postponed; `drive` pushes the later
                // deadline.
                entry.queued = None;
                self.drive(id, now);
            }
        }
        // A heap can remove only its top cheaply. So entries that are out of date stay
        // until more than half of the heap is out of date.
        if self.deadlines.len() > 2 * self.connections.len() + 64 {
            self.deadlines.retain(|Reverse((time, id))| {
                let entry = self.connections.get(id);
                *id == LISTENER || entry.is_some_and(|e| e.queued == Some(*time))
            });
        }
        Ok(())
    }

    /// Returns how long the next wait may last: until the earliest deadline in the
    /// heap, or without limit if there is none.
    fn timeout(&self) -> EpollTimeout {
        let Some(Reverse((first, _))) = self.deadlines.peek() else {
            return EpollTimeout::NONE;
        };
        let left = first.saturating_duration_since(Instant::now());
        // The timeout is rounded up: if epoll_wait(2) returned too early, the loop
        // would only call it again.
        let milliseconds = left.as_nanos().div_ceil(1_000_000);
        EpollTimeout::try_from(milliseconds).unwrap_or(EpollTimeout::MAX)
    }
}

// ANCHOR_END: deadlines
// ANCHOR: accept
impl Server {
    /// Accepts clients, at most 64. If more wait, the next epoll_wait(2) reports the
    /// listener again.
    fn accept(&mut self, now: Instant) -> io::Result<()> {
        for _ in 0..64 {
            match self.listener.as_ref().map(TcpListener::accept) {
                Some(Ok((socket, _))) => {
                    let Ok(connection) = Connection::new(socket, now) else { continue };
                    self.last_id += 1;
                    let entry = Entry { connection, watched: None, queued: None };
                    self.connections.insert(self.last_id, entry);
                    self.drive(self.last_id, now); // the request may have arrived
                }
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                    // The error is usually EMFILE: no descriptor is left, the client
                    // waits in the backlog, and epoll would report the listener in
                    // every round. So for a moment epoll reports no events of the
                    // listener.
                    self.deadlines.push(Reverse((now + signals::PAUSE, LISTENER)));
                    return self.watch_listener(EpollFlags::empty());
                }
                Some(Err(_)) | None => return Ok(()),
            }
        }
        Ok(())
    }

    fn watch_listener(&self, events: EpollFlags) -> io::Result<()> {
        if let Some(listener) = &self.listener {
            self.epoll.modify(listener, &mut EpollEvent::new(events, LISTENER))?;
        }
        Ok(())
    }

    /// Closes the listener, so that further connections are refused, and ends every
    /// connection after the requests that have arrived. Does nothing if no signal has
    /// arrived.
    fn stop(&mut self) {
        if signals::take(&self.stop) {
            self.listener = None;
            self.connections.values().for_each(|entry| entry.connection.hang_up());
        }
    }
}

// ANCHOR_END: accept
// ANCHOR: run
/// Serves until SIGTERM or SIGINT, and then until the last connection has ended.
///
/// # Errors
///
/// The server cannot start, or the kernel is out of memory.
pub fn run(interest: Interest) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    epoll.add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut server = Server {
        epoll,
        stop,
        listener: Some(listener),
        connections: HashMap::new(),
        last_id: LISTENER,
        deadlines: BinaryHeap::new(),
        interest,
    };
    let mut events = [EpollEvent::empty(); 256];
    while server.listener.is_some() || !server.connections.is_empty() {
        let count = match server.epoll.wait(&mut events, server.timeout()) {
            Err(Errno::EINTR) => 0, // a signal
            count => count?,
        };
        let now = Instant::now();
        for event in &events[..count] {
            match event.data() {
                STOP => server.stop(),
                LISTENER => server.accept(now)?,
                id => server.drive(id, now),
            }
        }
        server.expire(now)?;
    }
    Ok(())
}

// ANCHOR_END: run
// ANCHOR: edge
/// Returns the events for an edge-triggered server: the kernel reports an event once,
/// when its condition begins to hold. Both directions are always watched, so there is
/// never anything to change.
///
/// Bytes that are left unread are not reported again. Still no event is lost, because
/// [`Connection::drive`] goes on until a call fails with `WouldBlock`, and is called
/// again when a delayed answer is due.
pub fn edge(_: Wait) -> Option<EpollFlags> {
    Some(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET)
}
// ANCHOR_END: edge
