//! Who is here: the connections of one process, so that it can stop in order.
//!
//! A thread that is blocked in read(2) hears nothing. The only way to reach it is
//! through its socket: shutdown(2) of the receiving side makes the read return 0,
//! as if the client had gone. So every connection has a [`Seat`] that says
//! whether it is idle, and to stop is: hang up on the idle ones, wait for
//! the others until the deadline, then cut them off. Somebody may have been accepted in
//! the moment of the stop and not be listed yet: so the end is not when nobody is
//! here, but when nobody will be any more ([`Roster::close`]).

use crate::attend::Welcome;
use crate::site::Site;
use crate::stop::is_readable;
use crate::trace::trace;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All connections of a process.
#[derive(Debug)]
pub struct Roster<'a> {
    site: &'a Site,
    seats: Mutex<Seats>,
    /// Somebody left, or the last has come.
    left: Condvar,
    /// All were cut off. Apart from `left`, so that a client that leaves does not wake
    /// every sleeper.
    cut: Condvar,
}

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<u64, Arc<Seat>>,
    next: u64,
    turned_away: usize,
    closed: bool,
    cut_off: bool,
}

/// One connection: its socket, and whether it waits for a request.
#[derive(Debug)]
pub struct Seat {
    /// The connection.
    pub socket: TcpStream,
    /// Whether hanging up now would break nothing.
    pub idle: AtomicBool,
    /// Whether it was the server that hung up. Then the end of file is not the client's.
    pub hung_up: AtomicBool,
}

impl Seat {
    /// Whether its client has said nothing that is not read yet. Hanging up on one that
    /// has begun a request would lose the rest of it.
    pub fn is_silent(&self) -> bool {
        !is_readable(&[self.socket.as_fd()], Some(Duration::ZERO))[0]
    }

    fn hang_up(&self, how: Shutdown) {
        self.hung_up.store(true, SeqCst);
        let _ = self.socket.shutdown(how); // the client may have been faster
    }
}

/// A place in the roster, given up when it is dropped.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where it is listed.
    pub roster: &'a Roster<'a>,
    number: u64,
    /// The connection.
    pub seat: Arc<Seat>,
    /// What becomes of it.
    pub welcome: Welcome,
}

impl<'a> Roster<'a> {
    /// An empty roster for a server of this site.
    pub fn new(site: &'a Site) -> Roster<'a> {
        Roster {
            site,
            seats: Mutex::default(),
            left: Condvar::new(),
            cut: Condvar::new(),
        }
    }

    /// Takes a connection in, and decides how welcome it is where `most` may be served
    /// at once.
    pub fn seat(&'a self, socket: TcpStream, most: usize) -> Place<'a> {
        let (idle, hung_up) = (AtomicBool::new(false), AtomicBool::new(false));
        let seat = Arc::new(Seat { socket, idle, hung_up });
        let mut seats = self.lock();
        let number = seats.next;
        seats.next += 1;
        let welcome =
            Welcome::to(seats.taken.len() - seats.turned_away, seats.turned_away, most);
        seats.turned_away += usize::from(welcome != Welcome::Served);
        if seats.cut_off {
            seat.hang_up(Shutdown::Both); // nobody looks to its deadline
        }
        seats.taken.insert(number, seat.clone());
        Place { roster: self, number, seat, welcome }
    }

    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.site.is_draining()
    }

    /// Nobody will be seated any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.left.notify_all();
    }

    /// Stops in order: see the top of this file. Returns when it is
    /// [closed](Roster::close) and everybody has gone, or `within` is over.
    pub fn drain(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut seats = self.lock();
        self.site.drain();
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            seats.taken.len(),
            within.as_secs_f64()
        );
        for seat in seats.taken.values() {
            // Not quite safe: the first half of a request may be on its way, or its thread
            // has just read it and has not said so. A hang-up cannot be taken back, so
            // that client goes unanswered (`Blocking::fill`). To be sure, a thread would
            // have to poll(2) its client and the stop before each read: one more system
            // call for every request.
            if seat.idle.load(SeqCst) && seat.is_silent() {
                seat.hang_up(Shutdown::Read);
            }
        }
        while !(seats.closed && seats.taken.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trace!("stop", "{} connections cut off", seats.taken.len());
                for seat in seats.taken.values() {
                    seat.hang_up(Shutdown::Both);
                }
                break;
            }
            seats = self
                .left
                .wait_timeout(seats, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        seats.cut_off = true;
        self.cut.notify_all();
    }

    /// Lets time pass, unless everybody is cut off meanwhile.
    /// That is `ConnectionAborted`.
    pub fn sleep(&self, time: Duration) -> io::Result<()> {
        let awake = |seats: &mut Seats| !seats.cut_off;
        let waited = self.cut.wait_timeout_while(self.lock(), time, awake);
        if waited.unwrap_or_else(PoisonError::into_inner).0.cut_off {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // Nothing in here can be left half done by a panic.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut seats = self.roster.lock();
        seats.taken.remove(&self.number);
        seats.turned_away -= usize::from(self.welcome != Welcome::Served);
        drop(seats);
        // Nobody waits for this before the server stops.
        if self.roster.is_draining() {
            self.roster.left.notify_all();
        }
    }
}
