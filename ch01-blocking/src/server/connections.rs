//! The open connections of one process, so that a blocking server can stop in order.
//!
//! A thread blocked in read(2) cannot be notified, but its socket can be shut down: after
//! shutdown(2) of the receiving side the read returns 0, as if the peer had closed. So
//! each connection is registered here with a flag that says whether it is idle. To stop,
//! the server closes the idle connections, waits for the busy ones until the drain
//! deadline, then cuts off the rest.
//!
//! A connection can be accepted at the moment of the stop and not be registered yet.
//! Draining therefore ends when the set is empty *and* closed ([`Connections::close`]).

use crate::app::site::Site;
use crate::deadlines::later;
use crate::server::stop::is_readable;
use crate::server::sys;
use crate::server::trace::trace;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The largest number of rejected connections that linger at the same time; each
/// occupies a thread or a process while it lingers. Connections beyond that number are
/// answered with 503 and closed without lingering.
const MAX_LINGERING_REJECTIONS: usize = 32;

/// The decision about a connection that was just accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The connection is served.
    Admitted,
    /// The connection is answered with 503, and stays open until the client closes it,
    /// but for no longer than `--linger-timeout`.
    Rejected,
    /// The connection is answered with 503, and closed without waiting for the client.
    RejectedAtOnce,
}

impl Admission {
    /// Returns the decision about one more connection, when `admitted` connections are served,
    /// `rejected` ones linger, and at most `capacity` may be served at once.
    ///
    /// A rejected connection does not count against `capacity`: otherwise connections that
    /// are rejected would keep the server full.
    ///
    /// ```
    /// use ch01_blocking::server::connections::Admission;
    ///
    /// assert_eq!(Admission::decide(99, 0, 100), Admission::Admitted);
    /// assert_eq!(Admission::decide(100, 0, 100), Admission::Rejected);
    /// assert_eq!(Admission::decide(100, 32, 100), Admission::RejectedAtOnce);
    /// ```
    pub fn decide(admitted: usize, rejected: usize, capacity: usize) -> Admission {
        match () {
            () if admitted < capacity => Admission::Admitted,
            () if rejected < MAX_LINGERING_REJECTIONS => Admission::Rejected,
            () => Admission::RejectedAtOnce,
        }
    }
}

/// The open connections of a process.
#[derive(Debug)]
pub struct Connections<'a> {
    site: &'a Site,
    state: Mutex<State>,
    /// Notified when a connection is removed, and when the set is closed.
    removed: Condvar,
    /// Notified when all connections are cut off. Separate from `removed`, so that a
    /// connection that ends does not wake every thread in [`Connections::sleep`].
    cut_off: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<u64, Arc<Entry>>,
    next_id: u64,
    rejected: usize,
    closed: bool,
    cut_off: bool,
}

/// An open connection: the part that the set shares with the thread that serves the
/// connection.
#[derive(Debug)]
pub struct Entry {
    /// The socket, which the connection's thread reads and writes, and which
    /// [`Connections::drain`] shuts down.
    pub socket: TcpStream,
    /// Whether the connection waits for a request, so that closing it breaks nothing.
    pub idle: AtomicBool,
    /// Whether the server has shut the socket down. After that, an end of file does not
    /// mean that the client has closed.
    pub closed_by_server: AtomicBool,
    /// The number of bytes that the connection's thread has read and
    /// [counted](Entry::count).
    counted: AtomicU64,
}

impl Entry {
    /// Returns whether the socket has no unread input. Closing a connection whose client
    /// has begun a request would lose the rest of that request.
    pub fn no_pending_input(&self) -> bool {
        !is_readable(&[self.socket.as_fd()], Some(Duration::ZERO))[0]
    }

    /// Adds `bytes` to the number of bytes that the connection's thread has read. The
    /// thread must clear `idle` before this call.
    pub fn count(&self, bytes: usize) {
        self.counted.fetch_add(bytes as u64, SeqCst);
    }

    /// Returns whether the connection is idle and its thread has counted all bytes that
    /// arrived.
    ///
    /// `idle` alone is not enough: a thread that has just read bytes may not have
    /// cleared `idle` yet. In that case the kernel has counted the bytes, and the
    /// thread has not.
    fn is_at_rest(&self) -> bool {
        // The thread clears `idle` and then counts the bytes; here the counter is
        // loaded first and `idle` afterwards. So bytes that are counted are never seen
        // together with an `idle` flag from before they were read.
        let counted = self.counted.load(SeqCst);
        match sys::received(self.socket.as_fd()) {
            Some(received) => received == counted && self.idle.load(SeqCst),
            None => self.idle.load(SeqCst) && self.no_pending_input(),
        }
    }

    fn shut_down(&self, how: Shutdown) {
        self.closed_by_server.store(true, SeqCst);
        let _ = self.socket.shutdown(how); // an error means that the client has closed already
    }
}

/// A registered connection; dropping the guard removes the connection from its set.
#[derive(Debug)]
pub struct ConnectionGuard<'a> {
    /// The set that the connection is registered in.
    pub connections: &'a Connections<'a>,
    id: u64,
    /// The part of the connection that the set and the serving thread share.
    pub entry: Arc<Entry>,
    /// Whether the connection is served or rejected.
    pub admission: Admission,
}

impl<'a> Connections<'a> {
    /// Returns an empty set, for a server that serves `site`.
    pub fn new(site: &'a Site) -> Connections<'a> {
        Connections {
            site,
            state: Mutex::default(),
            removed: Condvar::new(),
            cut_off: Condvar::new(),
        }
    }

    /// Registers a connection, and admits or rejects it, given that at most `capacity`
    /// connections are served at once.
    pub fn register(&'a self, socket: TcpStream, capacity: usize) -> ConnectionGuard<'a> {
        let entry = Arc::new(Entry {
            socket,
            idle: AtomicBool::new(false),
            closed_by_server: AtomicBool::new(false),
            counted: AtomicU64::new(0),
        });
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let admitted = state.open.len() - state.rejected;
        let admission = Admission::decide(admitted, state.rejected, capacity);
        state.rejected += usize::from(admission != Admission::Admitted);
        if state.cut_off {
            entry.shut_down(Shutdown::Both); // the drain deadline has already passed
        }
        state.open.insert(id, entry.clone());
        ConnectionGuard { connections: self, id, entry, admission }
    }

    /// Returns whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.site.is_draining()
    }

    /// Declares that no further connection will be registered.
    pub fn close(&self) {
        self.lock().closed = true;
        self.removed.notify_all();
    }

    /// Closes the idle connections, waits for the busy ones, and cuts off the rest after
    /// `within`.
    ///
    /// Returns when the set is [closed](Connections::close) and empty, or after `within`.
    pub fn drain(&self, within: Duration) {
        let deadline = later(Instant::now(), within);
        let mut state = self.lock();
        self.site.drain();
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            state.open.len(),
            within.as_secs_f64()
        );
        for entry in state.open.values() {
            // shutdown(2) cannot be undone. A request whose first bytes arrive between
            // this check and the shutdown may get no answer, like a request that
            // arrives after the shutdown. To answer it, a thread would have to poll(2)
            // the socket and the stop before each read: one more system call per
            // request.
            if entry.is_at_rest() {
                entry.shut_down(Shutdown::Read);
            }
        }
        while !(state.closed && state.open.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trace!("stop", "{} connections cut off", state.open.len());
                for entry in state.open.values() {
                    entry.shut_down(Shutdown::Both);
                }
                break;
            }
            state = self
                .removed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.cut_off = true;
        self.cut_off.notify_all();
    }

    /// Sleeps for `time`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConnectionAborted`] as soon as the drain deadline passes.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        let undisturbed = |state: &mut State| !state.cut_off;
        let waited = self.cut_off.wait_timeout_while(self.lock(), time, undisturbed);
        if waited.unwrap_or_else(PoisonError::into_inner).0.cut_off {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed, so the state is valid even if
        // the lock is poisoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.open.remove(&self.id);
        state.rejected -= usize::from(self.admission != Admission::Admitted);
        drop(state);
        // Only `drain` waits on `removed`, so before the server drains there is no
        // thread to wake.
        if self.connections.is_draining() {
            self.connections.removed.notify_all();
        }
    }
}
