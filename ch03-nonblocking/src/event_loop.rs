//! The event loop: one thread serves all connections, and blocks in one call only.
//!
//! The loop waits for descriptors to become ready, gives each ready connection a turn
//! (a call to [`Connection::advance`]), and waits again. Each mechanism that reports
//! readiness is a [`Poller`].
//!
//! ```
//! use ch01_blocking::program::Cli;
//! use ch01_blocking::{Listener, Options, Stop};
//! use ch03_nonblocking::event_loop;
//! use ch03_nonblocking::spin::Spin;
//! use clap::Parser;
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! let options: Options = Cli::parse_from(["server"]).options;
//! let site = options.site()?;
//! let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
//! let address = listener.address()?;
//! let (stop, trigger) = Stop::pipe()?;
//! std::thread::scope(|scope| {
//!     scope.spawn(|| event_loop::run(Spin::default(), listener, &site, &options, &stop));
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"GET /plaintext HTTP/1.0\r\n\r\n")?;
//!     let mut response = String::new();
//!     client.read_to_string(&mut response)?;
//!     assert!(response.ends_with("Hello, World!"));
//!     trigger.stop()
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod accept;

use crate::connection::{Connection, Next, Wake};
use crate::poller::{Interest, Poller, Ready, Token};
use crate::socket::{IO_BUDGET, Socket};
use crate::table::Table;
use crate::timers::Timers;
use crate::work::{LoopContext, Pool};
use ch01_blocking::Listener;
use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::later;
use ch01_blocking::http::HttpDate;
use ch01_blocking::server::free_memory::FreeMemory;
use ch01_blocking::server::options::Options;
use ch01_blocking::server::stop::ACCEPT_BACKOFF;
use ch01_blocking::server::stop::Stop;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::server::unwind;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::{Duration, Instant};

/// The token of the listener. The tokens [`STOP`] and [`SIBLINGS`] have the same index,
/// which no connection has.
const LISTENER: Token = Token { index: u32::MAX, generation: 0 };
const STOP: Token = Token { index: u32::MAX, generation: 1 };
const SIBLINGS: Token = Token { index: u32::MAX, generation: 2 };

// ANCHOR: fields
/// The connections of one thread, with the poller and the timers that give them their
/// turns.
#[derive(Debug)]
pub struct EventLoop<'a, P> {
    poller: P,
    stop: &'a Stop,
    /// The listener; `None` once the server is stopping.
    listener: Option<Listener>,
    connections: Table<Entry>,
    timers: Timers,
    shared: LoopContext<'a>,
    /// Connections that can continue without an event, for example because their last
    /// turn used up the byte budget. Some pollers would not report them again.
    run_queue: Vec<Token>,
    /// Whether clients may be left in the listener's backlog. Some pollers would not
    /// report the listener again.
    accept_again: bool,
    /// Connections that have become idle in this round of the loop; their deadlines are
    /// set at the end of the round.
    idle: Vec<Token>,
    /// An eventfd(2) that wakes all loops that accept from the same socket; `None` if
    /// no other process accepts from it.
    siblings: Option<BorrowedFd<'a>>,
    /// The time at which accepting resumes after the process ran out of descriptors or
    /// memory; `None` unless accepting pauses.
    accept_resumes: Option<Instant>,
    /// The drain deadline, at which the remaining connections are cut off; `None` until
    /// the stop.
    drain_deadline: Option<Instant>,
    /// Number of open connections that are being rejected with a 503 response.
    rejected: usize,
    memory: FreeMemory,
    options: &'a Options,
}

/// A connection, and the loop's records about it.
#[derive(Debug)]
struct Entry {
    connection: Connection<Socket>,
    /// The connection's number in the trace.
    number: u32,
    /// The interest that is registered with the poller.
    interest: Interest,
    /// Whether the connection is in the run queue.
    queued: bool,
    /// Whether the connection counts toward `--max-connections`; one that is being
    /// rejected does not.
    served: bool,
}
// ANCHOR_END: fields

/// The size of a connection's entry in the table of connections, in bytes.
pub const PLACE: usize = Table::<Entry>::PLACE;

// ANCHOR: run
/// Serves until `stop` is requested and the connections are drained.
///
/// # Errors
///
/// The errors of [`EventLoop::new`] and of [`Listener::ready`].
pub fn run(
    poller: impl Poller,
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    EventLoop::new(poller, listener, site, options, stop)?.run()
}

impl<P: Poller> EventLoop<'_, P> {
    /// Serves until a stop is requested and the connections are drained.
    ///
    /// # Errors
    ///
    /// The error of [`Listener::ready`].
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut late = Vec::new();
        if let Some(listener) = &self.listener {
            listener.ready()?;
        }
        while !self.is_finished() {
            if let Err(error) = self.poller.wait(&mut ready, self.timeout()) {
                self.try_all(&error, &mut ready);
            }
            (self.shared.now, self.shared.date) = (Instant::now(), HttpDate::now());

            for event in ready.drain(..) {
                match event.token {
                    LISTENER | SIBLINGS => self.accept(),
                    STOP => self.stop(),
                    token => self.turn(token, Wake::Ready(event)),
                }
            }
            for token in std::mem::take(&mut self.run_queue) {
                self.turn(token, Wake::Again);
            }
            // A connection that became idle in this round still has the deadline of its
            // previous wait, which must be replaced before it can expire below.
            self.set_idle_deadlines();
            self.timers.expired(self.shared.now, &mut late);
            for index in late.drain(..) {
                if let Some(token) = self.connections.token(index) {
                    self.turn(token, Wake::Timeout);
                }
            }
            self.resume_accepting();
            self.set_idle_deadlines();
            self.memory.release(self.shared.now);
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: idle
    /// Sets the deadline of each connection that has become idle in this round of the
    /// loop. Their idle time begins now, so one reading of the clock is enough for all.
    fn set_idle_deadlines(&mut self) {
        if self.idle.is_empty() {
            return;
        }
        let due = later(self.shared.current_time(), self.shared.timeouts.idle);
        let connections = &mut self.connections;
        let idle = self.idle.drain(..).filter(|&token| {
            connections.get_mut(token).is_some_and(|entry| entry.connection.is_idle())
        });
        self.timers.set_all(idle.map(|token| token.index), due);
    }
    // ANCHOR_END: idle
}

impl<'a, P: Poller> EventLoop<'a, P> {
    /// Returns a loop without connections, which accepts from `listener`.
    ///
    /// # Errors
    ///
    /// The errors of [`Poller::register`].
    pub fn new(
        mut poller: P,
        listener: Listener,
        site: &'a Site,
        options: &'a Options,
        stop: &'a Stop,
    ) -> io::Result<EventLoop<'a, P>> {
        poller.register(listener.as_fd(), LISTENER, Interest::ACCEPT)?;
        poller.register(stop.as_fd(), STOP, Interest::READ)?;
        let now = Instant::now();
        Ok(EventLoop {
            poller,
            stop,
            listener: Some(listener),
            connections: Table::new(),
            timers: Timers::new(now),
            shared: LoopContext {
                site,
                timeouts: options.timeouts(),
                pool: Pool::new(site.limits.output),
                io_budget: IO_BUDGET,
                now,
                clock: |_| Instant::now(),
                date: HttpDate::now(),
            },
            run_queue: Vec::new(),
            idle: Vec::new(),
            accept_again: false,
            siblings: None,
            accept_resumes: None,
            drain_deadline: None,
            rejected: 0,
            memory: FreeMemory::default(),
            options,
        })
    }

    /// Returns this loop, set up to accept from the same socket as loops in other
    /// processes.
    ///
    /// The kernel wakes one of these loops for a client. If that loop's process has no
    /// descriptor left, the client would wait although another process has free
    /// descriptors. That loop therefore wakes all loops by a write to `siblings`, an
    /// eventfd(2).
    ///
    /// # Errors
    ///
    /// The errors of [`Poller::register`].
    pub fn sharing(mut self, siblings: BorrowedFd<'a>) -> io::Result<EventLoop<'a, P>> {
        self.poller.register(siblings, SIBLINGS, Interest::READ)?;
        Ok(EventLoop { siblings: Some(siblings), ..self })
    }

    // ANCHOR: timeout
    /// Returns the longest time for which the poller may block: zero if a connection or
    /// the listener needs another turn, `None` (no limit) if there is no deadline.
    fn timeout(&self) -> Option<Duration> {
        if self.accept_again || !self.run_queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [
            self.timers.next(),
            self.accept_resumes,
            self.drain_deadline,
            self.memory.due(),
        ];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.shared.now))
    }
    // ANCHOR_END: timeout

    // ANCHOR: try_all
    /// Appends to `ready` an event for every descriptor, as `spin` does, after the
    /// poller has failed with `error`.
    ///
    /// The kernel may be out of memory for the moment, or the limit of descriptors was
    /// lowered below the number of registered ones (poll(2)). Neither is a reason to
    /// end the connections. The error may last, so each call sleeps for a moment first.
    fn try_all(&mut self, error: &io::Error, ready: &mut Vec<Ready>) {
        trace::set_connection(0);
        trace!("poller", "{error}: trying every connection");
        thread::sleep(ACCEPT_BACKOFF);
        ready.push(Ready::maybe(LISTENER, Interest::ACCEPT));
        ready.push(Ready::maybe(STOP, Interest::READ));
        for token in self.connections.tokens() {
            if let Some(entry) = self.connections.get_mut(token) {
                ready.push(Ready::maybe(token, entry.interest));
            }
        }
    }
    // ANCHOR_END: try_all

    // ANCHOR: turn
    /// Gives a connection its turn, and arranges its next turn. Does nothing if the
    /// token is stale, because the connection has been closed since the event.
    fn turn(&mut self, token: Token, wake: Wake) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        trace::set_connection(entry.number.into());
        match wake {
            Wake::Again => entry.queued = false,
            Wake::Ready(ready) if entry.queued => {
                return entry.connection.record(&ready); // a turn is queued
            }
            _ => {}
        }
        let shared = &mut self.shared;
        let advance = || entry.connection.advance(wake, shared);
        // A panic ends this connection, but not the loop.
        let advanced = unwind::catch(advance).unwrap_or_else(|_| {
            self.shared.site.stats.panics.add();
            Err(io::Error::other("a panic"))
        });
        let interest = match advanced {
            Ok(Next::Unchanged) => return,
            Ok(Next::Idle) => {
                self.idle.push(token);
                Interest::READ
            }
            Ok(Next::Wait(interest, due)) => {
                self.timers.set(token.index, due);
                interest
            }
            Ok(Next::Again) => {
                self.timers.clear(token.index);
                if !std::mem::replace(&mut entry.queued, true) {
                    self.run_queue.push(token);
                }
                return;
            }
            Ok(Next::Close) => return self.close(token, &"done"),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.shared.site.stats.timeouts.add();
                return self.close(token, &"write timeout");
            }
            // The peer has caused this error, so the error is traced but not logged.
            Err(error) => return self.close(token, &error),
        };
        // The descriptor is reregistered only if the interest has changed: most
        // connections wait to read, both before and after their turn.
        if entry.interest != interest {
            entry.interest = interest;
            let fd = entry.connection.transport().0.as_fd();
            if let Err(error) = self.poller.reregister(fd, token, interest) {
                self.close(token, &error);
            }
        }
    }
    // ANCHOR_END: turn

    // ANCHOR: close
    /// Closes a connection and releases everything that belongs to it; the trace shows
    /// `why`.
    fn close(&mut self, token: Token, why: &dyn std::fmt::Display) {
        let Some(entry) = self.connections.remove(token) else { return };
        trace!("close", "{why}");
        self.timers.clear(token.index);
        let fd = entry.connection.transport().0.as_fd();
        // An error of `deregister` does not matter: the descriptor is closed next.
        let _ = self.poller.deregister(fd, token);
        self.rejected -= usize::from(!entry.served);
        self.memory.connection_closed(self.shared.now);
        self.shared.site.stats.connection_closed();
    }
    // ANCHOR_END: close

    // ANCHOR: stop
    /// Stops accepting, closes idle connections, and sets the drain deadline for the
    /// other connections. Does nothing unless a stop has been requested.
    fn stop(&mut self) {
        if !self.stop.is_requested() {
            return; // the event was spurious, as those of `try_all` may be
        }
        let Some(listener) = self.listener.take() else { return };
        // While accepting pauses, the listener is not registered; then `deregister`
        // fails, and the error is ignored.
        let _ = self.poller.deregister(listener.as_fd(), LISTENER);
        // The stop pipe stays readable, so it would be reported in every round of the
        // loop if it stayed registered.
        let _ = self.poller.deregister(self.stop.as_fd(), STOP);
        drop(listener); // from now on the kernel refuses connections
        (self.accept_again, self.accept_resumes) = (false, None);
        let within = self.shared.timeouts.drain;
        self.drain_deadline = Some(later(self.shared.current_time(), within));
        self.shared.site.drain();
        trace::set_connection(0);
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            self.connections.len(),
            within.as_secs_f64()
        );
        for token in self.connections.tokens() {
            let entry = self.connections.get_mut(token);
            if entry.is_some_and(|entry| entry.connection.is_idle()) {
                self.turn(token, Wake::Stop);
            }
        }
    }

    /// Returns whether the server is stopping and either all connections have ended or
    /// the drain deadline has passed.
    fn is_finished(&self) -> bool {
        let Some(deadline) = self.drain_deadline else { return false };
        let left = self.connections.len();
        if left > 0 && self.shared.now >= deadline {
            trace::set_connection(0);
            trace!("stop", "{left} connections cut off");
        }
        left == 0 || self.shared.now >= deadline
    }
    // ANCHOR_END: stop
}
