//! All clients of the load generator, which one thread drives: they send requests, and handle
//! responses and errors.

mod sending;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::parser::{HeadCache, Response};
use super::plan::Plan;
use super::poller::Poller;
use super::requests::Requests;
use super::schedule::Schedule;
use super::stats::{Failure, Stats};

/// The pause of a client after an error before it connects again, in nanoseconds.
const RETRY_DELAY: u64 = 100_000_000;
/// The interval between two checks for timed-out clients, in nanoseconds.
const TIMEOUT_CHECK_INTERVAL: u64 = 100_000_000;
/// Maximum number of bytes per read.
const READ_SIZE: usize = 64 * 1024;

/// The clients: first the clients that send requests, then the idle clients.
pub(super) struct Clients<'a> {
    plan: &'a Plan,
    pub stats: Stats,
    pub connections: Vec<Connection>,
    poller: Poller,
    start: Instant,
    requests: Requests,
    cache: HeadCache,
    buffer: Box<[u8]>,
    /// Whether a client goes on to its next request after a response, as during the warm-up and the
    /// measured time.
    sending: bool,
    pub schedule: Option<Schedule>,
    /// The clients that pause: for each, the time at which it may connect again, in nanoseconds
    /// since the start, and its index.
    pausing: VecDeque<(u64, usize)>,
    last_check: u64,
    /// Number of requests in flight, of all clients.
    in_flight: usize,
    /// Number of connections opened so far.
    opened: usize,
}

impl<'a> Clients<'a> {
    pub(super) fn new(plan: &'a Plan) -> io::Result<Clients<'a>> {
        let depth = plan.depth();
        let client = |at| Connection::new(if at < plan.connections { depth } else { 1 });
        Ok(Clients {
            plan,
            stats: Stats::new()?,
            connections: (0..plan.connections + plan.idle).map(client).collect(),
            poller: Poller::new()?,
            start: Instant::now(),
            requests: Requests::new(plan),
            cache: HeadCache::new(plan.content.clone()),
            buffer: vec![0; READ_SIZE].into(),
            sending: false,
            schedule: None,
            pausing: VecDeque::new(),
            last_check: 0,
            in_flight: 0,
            opened: 0,
        })
    }

    /// Returns the time since the clients were created, in nanoseconds.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Returns the number of requests in flight, of all clients.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Waits once for events, at most until `end` (nanoseconds since the start), and handles them.
    pub(super) fn poll_once(&mut self, end: u64) -> io::Result<()> {
        let mut now = self.now();
        if now >= self.last_check + TIMEOUT_CHECK_INTERVAL {
            self.last_check = now;
            self.close_timed_out(now)?;
        }
        let mut wake = end.min(self.last_check + TIMEOUT_CHECK_INTERVAL);
        while let Some(&(when, index)) = self.pausing.front() {
            if when > now {
                wake = wake.min(when);
                break;
            }
            self.pausing.pop_front();
            if self.sending && !self.connections[index].is_open() {
                self.proceed(index, now)?;
            }
        }
        if self.schedule.is_some() {
            self.send_due()?;
            now = self.now();
            if let Some(due) = self.schedule.as_ref().and_then(Schedule::next) {
                wake = wake.min(due);
            }
        }
        let most = Duration::from_nanos(wake.saturating_sub(now));
        let found = self.poller.wait(&self.connections, most, self.schedule.is_some())?;
        for at in 0..found {
            let Some(event) = self.poller.event(at) else { continue };
            if event.writable {
                self.send(event.index)?;
            }
            if event.readable {
                self.receive(event.index)?;
            }
        }
        Ok(())
    }

    /// Reads once from a client's connection, records the responses, and sends the next requests.
    #[inline]
    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let n = match connection.receive(&mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(n)) => n,
            Err(_) if connection.connected => {
                return self.disconnect(index, Some(Failure::Reset));
            }
            Err(_) => return self.disconnect(index, Some(Failure::Connect)),
        };
        if n == 0 {
            return self.on_eof(index);
        }
        let now = self.start.elapsed().as_nanos() as u64;
        let mut bytes = &self.buffer[..n];
        loop {
            match connection.parser.next(&mut bytes, &mut self.cache) {
                Ok(None) => break,
                Ok(Some(response)) => {
                    let Some(sent_at) = connection.complete_request(now) else {
                        return self.disconnect(index, Some(unrequested(response)));
                    };
                    self.in_flight -= 1;
                    connection.served |=
                        self.stats.record_response(response, now, now - sent_at);
                    if response.last
                        || !self.plan.keep_alive && index < self.plan.connections
                    {
                        return self.on_eof(index);
                    }
                }
                Err(_) => return self.disconnect(index, Some(Failure::Malformed)),
            }
        }
        self.proceed(index, now)
    }

    /// Handles the end of a connection, which may complete a response whose content ends with the
    /// connection.
    fn on_eof(&mut self, index: usize) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[index];
        if let Some(response) = connection.parser.end()
            && let Some(sent_at) = connection.complete_request(now)
        {
            self.in_flight -= 1;
            connection.served |= self.stats.record_response(response, now, now - sent_at);
        }
        let failure = match connection {
            Connection { broken: true, .. } => Failure::Reset,
            _ => Failure::CutShort,
        };
        let failure = (connection.in_flight() > 0).then_some(failure);
        self.disconnect(index, failure)
    }

    /// Closes a client's connection, and records `failure` if one is given. The client connects
    /// again: at once if the connection had a 2xx response and there is no failure, otherwise after
    /// a pause.
    fn disconnect(&mut self, index: usize, failure: Option<Failure>) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[index];
        self.in_flight -= connection.close();
        if let Some(failure) = failure {
            self.stats.record_failure(failure);
        }
        if failure.is_some() || !connection.served {
            self.pausing.push_back((now + RETRY_DELAY, index));
            return Ok(());
        }
        self.proceed(index, now)
    }

    /// Closes every connection that has waited for a response longer than the timeout.
    fn close_timed_out(&mut self, now: u64) -> io::Result<()> {
        let timeout = self.plan.timeout.as_nanos() as u64;
        for index in 0..self.connections.len() {
            if self.connections[index]
                .waiting_since()
                .is_some_and(|since| since + timeout < now)
            {
                let failure = match self.connections[index].connected {
                    true => Failure::TimedOut,
                    false => Failure::Connect,
                };
                self.disconnect(index, Some(failure))?;
            }
        }
        Ok(())
    }
}

/// Returns the failure that a response without a request counts as. A full server may reject a
/// client, with an error status and a close, before the client has sent its request: this counts as
/// an unexpected status. Any other such response is malformed.
fn unrequested(response: Response) -> Failure {
    if response.last && response.status >= 400 {
        Failure::Status
    } else {
        Failure::Malformed
    }
}
