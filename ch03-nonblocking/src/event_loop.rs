//! The event loop: one thread, all clients, and one place to wait in.
//!
//! It waits for whoever is ready, gives each a turn, and waits again. Which
//! mechanism tells who is ready is not its business: see [`Poller`].

mod arrivals;

use crate::connection::{Connection, Next, Wake};
use crate::poller::{Interest, Poller, Ready, Token};
use crate::socket::{SHARE, Socket};
use crate::table::Table;
use crate::timers::Timers;
use crate::work::{Pool, Shared};
use ch01_blocking::Listener;
use ch01_blocking::app::site::Site;
use ch01_blocking::deadlines::later;
use ch01_blocking::server::free_memory::FreeMemory;
use ch01_blocking::server::listener::ACCEPT_BACKOFF;
use ch01_blocking::server::options::Options;
use ch01_blocking::server::stop::Stop;
use ch01_blocking::server::trace::{self, trace};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The tokens of what is no connection.
const LISTENER: Token = Token { index: u32::MAX, generation: 0 };
const STOP: Token = Token { index: u32::MAX, generation: 1 };
const SIBLINGS: Token = Token { index: u32::MAX, generation: 2 };

/// One thread's connections, and what it takes to serve them.
#[derive(Debug)]
pub struct EventLoop<'a, P> {
    poller: P,
    stop: &'a Stop,
    /// None when it stops.
    listener: Option<Listener>,
    guests: Table<Guest>,
    timers: Timers,
    shared: Shared<'a>,
    /// Whose last turn was over before they were done. Nobody will tell of them again.
    again: Vec<Token>,
    /// The same of the listener.
    accept_again: bool,
    /// Connections that have become idle in this round; their deadlines are set at its end.
    idle: Vec<Token>,
    /// Wakes the other loops that accept from the same socket, and this one.
    siblings: Option<BorrowedFd<'a>>,
    /// When accepting goes on, after the system was out of descriptors.
    paused: Option<Instant>,
    /// When those who are still here are cut off.
    stopping: Option<Instant>,
    rejected: usize,
    memory: FreeMemory,
    options: &'a Options,
}

/// A connection, and what the loop knows of it.
#[derive(Debug)]
struct Guest {
    connection: Connection<Socket>,
    /// For the trace.
    number: u32,
    /// What the poller was told.
    interest: Interest,
    /// Whether it is in `again`.
    queued: bool,
    /// Whether it takes a place; those who are only being turned away do not.
    served: bool,
}

/// Bytes of a connection's place in the table.
pub const PLACE: usize = Table::<Guest>::PLACE;

// ANCHOR: run
/// Serves until `stop`, with this mechanism.
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
    /// Serves to the end.
    /// An error is that of [`Listener::ready`].
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut late = Vec::new();
        if let Some(listener) = &self.listener {
            listener.ready()?;
        }
        while !self.is_over() {
            if let Err(error) = self.poller.wait(&mut ready, self.timeout()) {
                self.ask_everyone(&error, &mut ready);
            }
            (self.shared.now, self.shared.date) = (Instant::now(), SystemTime::now());

            for event in ready.drain(..) {
                match event.token {
                    LISTENER | SIBLINGS => self.accept(),
                    STOP => self.stop(),
                    token => self.turn(token, Wake::Ready(event)),
                }
            }
            for token in std::mem::take(&mut self.again) {
                self.turn(token, Wake::Again);
            }
            self.set_idle_deadlines(); // before the old ones are looked at
            self.timers.expired(self.shared.now, &mut late);
            for index in late.drain(..) {
                if let Some(token) = self.guests.token(index) {
                    self.turn(token, Wake::Timeout);
                }
            }
            self.accept_on();
            self.set_idle_deadlines();
            self.memory.release(self.shared.now);
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: idle
    /// Sets the deadline of each connection that has become idle in this round. The idle
    /// time begins now, with one look at the clock for all of them.
    fn set_idle_deadlines(&mut self) {
        if self.idle.is_empty() {
            return;
        }
        let due = later(self.shared.look(), self.shared.timeouts.idle);
        let guests = &mut self.guests;
        let idle = self.idle.drain(..).filter(|&token| {
            guests.get_mut(token).is_some_and(|guest| guest.connection.is_idle())
        });
        self.timers.set_all(idle.map(|token| token.index), due);
    }
    // ANCHOR_END: idle
}

impl<'a, P: Poller> EventLoop<'a, P> {
    /// A loop that has nobody yet.
    /// An error is the poller's.
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
            guests: Table::new(),
            timers: Timers::new(now),
            shared: Shared {
                site,
                timeouts: options.timeouts(),
                pool: Pool::new(site.limits.output),
                share: SHARE,
                now,
                clock: |_| Instant::now(),
                date: SystemTime::now(),
            },
            again: Vec::new(),
            idle: Vec::new(),
            accept_again: false,
            siblings: None,
            paused: None,
            stopping: None,
            rejected: 0,
            memory: FreeMemory::default(),
            options,
        })
    }

    /// A loop that accepts from the same socket as others do, in other processes. The kernel
    /// wakes one of them for a client. If that one has no descriptor left, the client would
    /// wait though another has many: so the loop wakes all, by `siblings`, an eventfd(2).
    ///
    /// # Errors
    ///
    /// The poller's.
    pub fn sharing(mut self, siblings: BorrowedFd<'a>) -> io::Result<EventLoop<'a, P>> {
        self.poller.register(siblings, SIBLINGS, Interest::READ)?;
        Ok(EventLoop { siblings: Some(siblings), ..self })
    }

    /// How long the poller may wait: not at all if somebody wants another turn, for
    /// ever if there is no deadline.
    fn timeout(&self) -> Option<Duration> {
        if self.accept_again || !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.timers.next(), self.paused, self.stopping, self.memory.due()];
        let next = next.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.shared.now))
    }

    /// The poller has failed: the kernel has no memory for the moment, or the limit of
    /// descriptors was lowered below the number that is watched (poll(2)). That is no reason to
    /// end every connection. Until the poller works again the loop asks everyone, as `spin`
    /// does, after a pause: the error may last.
    fn ask_everyone(&mut self, error: &io::Error, ready: &mut Vec<Ready>) {
        trace::set_connection(0);
        trace!("poller", "{error}: everyone is asked");
        thread::sleep(ACCEPT_BACKOFF);
        ready.push(Ready::maybe(LISTENER, Interest::ACCEPT));
        ready.push(Ready::maybe(STOP, Interest::READ));
        for token in self.guests.tokens() {
            if let Some(guest) = self.guests.get_mut(token) {
                ready.push(Ready::maybe(token, guest.interest));
            }
        }
    }

    // ANCHOR: turn
    /// Advances a connection, and arranges for its next turn. The token is stale if the
    /// connection has been closed meanwhile: then the event is ignored.
    fn turn(&mut self, token: Token, wake: Wake) {
        let Some(guest) = self.guests.get_mut(token) else { return };
        trace::set_connection(guest.number.into());
        match wake {
            Wake::Again => guest.queued = false,
            Wake::Ready(ready) if guest.queued => {
                return guest.connection.note(&ready); // its turn comes
            }
            _ => {}
        }
        let shared = &mut self.shared;
        let advance = AssertUnwindSafe(|| guest.connection.advance(wake, shared));
        // A panic costs this connection, and not the loop.
        let advanced = catch_unwind(advance).unwrap_or_else(|_| {
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
                if !std::mem::replace(&mut guest.queued, true) {
                    self.again.push(token);
                }
                return;
            }
            Ok(Next::Close) => return self.close(token, &"done"),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.shared.site.stats.timeouts.add();
                return self.close(token, &"out of patience");
            }
            // Caused by the client, and of interest to a trace only.
            Err(error) => return self.close(token, &error),
        };
        // Registered again only if it has changed: most turns end as they began, waiting
        // to read.
        if guest.interest != interest {
            guest.interest = interest;
            let fd = guest.connection.transport().0.as_fd();
            if let Err(error) = self.poller.reregister(fd, token, interest) {
                self.close(token, &error);
            }
        }
    }
    // ANCHOR_END: turn

    fn close(&mut self, token: Token, why: &dyn std::fmt::Display) {
        let Some(guest) = self.guests.remove(token) else { return };
        trace!("close", "{why}");
        self.timers.clear(token.index);
        let fd = guest.connection.transport().0.as_fd();
        let _ = self.poller.deregister(fd, token); // it is closed in a moment
        self.rejected -= usize::from(!guest.served);
        self.memory.connection_closed(self.shared.now);
        self.shared.site.stats.connection_closed();
    }

    // ANCHOR: stop
    /// Lets nobody in any more, and lets those who are here finish.
    fn stop(&mut self) {
        if !self.stop.is_requested() {
            return; // events are hints, and a stop cannot be undone
        }
        let Some(listener) = self.listener.take() else { return };
        let _ = self.poller.deregister(listener.as_fd(), LISTENER); // or it is paused
        let _ = self.poller.deregister(self.stop.as_fd(), STOP); // it stays readable, and would be reported again and again
        drop(listener); // who comes now is refused by the kernel
        (self.accept_again, self.paused) = (false, None);
        let within = self.shared.timeouts.drain;
        self.stopping = Some(later(self.shared.look(), within));
        self.shared.site.drain();
        trace::set_connection(0);
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            self.guests.len(),
            within.as_secs_f64()
        );
        for token in self.guests.tokens() {
            if self.guests.get_mut(token).is_some_and(|guest| guest.connection.is_idle())
            {
                self.turn(token, Wake::Stop);
            }
        }
    }

    /// Whether everybody has gone, or had the time to.
    fn is_over(&self) -> bool {
        let Some(deadline) = self.stopping else { return false };
        let left = self.guests.len();
        if left > 0 && self.shared.now >= deadline {
            trace::set_connection(0);
            trace!("stop", "{left} connections cut off");
        }
        left == 0 || self.shared.now >= deadline
    }
    // ANCHOR_END: stop
}
