//! All the clients, on one thread: who asks when, what happens to an answer, and what to an
//! error.

mod asking;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::answers::{Answer, Known};
use super::connection::Connection;
use super::pace::Pace;
use super::plan::Plan;
use super::requests::Requests;
use super::tally::{Fault, Tally};
use super::waiter::Waiter;

/// After an error, a client rests for so long before it connects again.
const REST: u64 = 100_000_000;
/// Between two looks for those who have waited too long.
const TICK: u64 = 100_000_000;
/// What one read may take.
const PIECE: usize = 64 * 1024;

/// The clients, first those that ask, then those that are held beside.
pub(super) struct Crowd<'a> {
    plan: &'a Plan,
    pub tally: Tally,
    pub connections: Vec<Connection>,
    waiter: Waiter,
    start: Instant,
    requests: Requests,
    known: Known,
    piece: Box<[u8]>,
    /// Who is answered asks again.
    asking: bool,
    pub pace: Option<Pace>,
    /// Who may connect again, and when.
    resting: VecDeque<(u64, usize)>,
    ticked: u64,
    /// Requests of all clients.
    under_way: usize,
    /// How many connections there have been.
    number: usize,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(plan: &'a Plan) -> io::Result<Crowd<'a>> {
        let depth = plan.depth();
        let place = |at| Connection::new(if at < plan.connections { depth } else { 1 });
        Ok(Crowd {
            plan,
            tally: Tally::new()?,
            connections: (0..plan.connections + plan.idle).map(place).collect(),
            waiter: Waiter::new()?,
            start: Instant::now(),
            requests: Requests::new(plan),
            known: Known::new(plan.content.clone()),
            piece: vec![0; PIECE].into(),
            asking: false,
            pace: None,
            resting: VecDeque::new(),
            ticked: 0,
            under_way: 0,
            number: 0,
        })
    }

    /// Nanoseconds since the beginning.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Requests that are not answered.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// One wait, at most until `end`, and whatever it brings.
    pub(super) fn turn(&mut self, end: u64) -> io::Result<()> {
        let mut now = self.now();
        if now >= self.ticked + TICK {
            self.ticked = now;
            self.give_up(now)?;
        }
        let mut wake = end.min(self.ticked + TICK);
        while let Some(&(when, place)) = self.resting.front() {
            if when > now {
                wake = wake.min(when);
                break;
            }
            self.resting.pop_front();
            if self.asking && !self.connections[place].is_open() {
                self.carry_on(place, now)?;
            }
        }
        if self.pace.is_some() {
            self.ask_what_is_due()?;
            now = self.now();
            if let Some(due) = self.pace.as_ref().and_then(Pace::next) {
                wake = wake.min(due);
            }
        }
        let most = Duration::from_nanos(wake.saturating_sub(now));
        let found = self.waiter.wait(&self.connections, most, self.pace.is_some())?;
        for at in 0..found {
            let Some(event) = self.waiter.event(at) else { continue };
            if event.writable {
                self.send(event.place)?;
            }
            if event.readable {
                self.receive(event.place)?;
            }
        }
        Ok(())
    }

    /// Takes what has come, and asks again.
    #[inline]
    fn receive(&mut self, place: usize) -> io::Result<()> {
        let connection = &mut self.connections[place];
        let n = match connection.receive(&mut self.piece) {
            Ok(None) => return Ok(()),
            Ok(Some(n)) => n,
            Err(_) if connection.connected => {
                return self.fail(place, Some(Fault::Reset));
            }
            Err(_) => return self.fail(place, Some(Fault::Connect)),
        };
        if n == 0 {
            return self.ended(place);
        }
        let now = self.start.elapsed().as_nanos() as u64;
        let mut bytes = &self.piece[..n];
        loop {
            match connection.answers.next(&mut bytes, &mut self.known) {
                Ok(None) => break,
                Ok(Some(answer)) => {
                    let Some(asked) = connection.answered(now) else {
                        return self.fail(place, Some(unasked(answer)));
                    };
                    self.under_way -= 1;
                    connection.served |= self.tally.answer(answer, now, now - asked);
                    if answer.last
                        || !self.plan.keep_alive && place < self.plan.connections
                    {
                        return self.ended(place);
                    }
                }
                Err(_) => return self.fail(place, Some(Fault::Malformed)),
            }
        }
        self.carry_on(place, now)
    }

    /// The connection has ended, or ends here. It may have been the end of an answer.
    fn ended(&mut self, place: usize) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[place];
        if let Some(answer) = connection.answers.end()
            && let Some(asked) = connection.answered(now)
        {
            self.under_way -= 1;
            connection.served |= self.tally.answer(answer, now, now - asked);
        }
        let fault = match connection {
            Connection { broken: true, .. } => Fault::Reset,
            _ => Fault::CutShort,
        };
        let fault = (connection.under_way() > 0).then_some(fault);
        self.fail(place, fault)
    }

    /// A connection is over, by an error or without. There will be a new one: at once if this
    /// one was of use, and otherwise after a rest.
    fn fail(&mut self, place: usize, fault: Option<Fault>) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[place];
        self.under_way -= connection.close();
        if let Some(fault) = fault {
            self.tally.fault(fault);
        }
        if fault.is_some() || !connection.served {
            self.resting.push_back((now + REST, place));
            return Ok(());
        }
        self.carry_on(place, now)
    }

    /// Those who have waited too long do not wait any more.
    fn give_up(&mut self, now: u64) -> io::Result<()> {
        let timeout = self.plan.timeout.as_nanos() as u64;
        for place in 0..self.connections.len() {
            if self.connections[place]
                .waits_since()
                .is_some_and(|since| since + timeout < now)
            {
                let fault = match self.connections[place].connected {
                    true => Fault::TimedOut,
                    false => Fault::Connect,
                };
                self.fail(place, Some(fault))?;
            }
        }
        Ok(())
    }
}

/// What to make of an answer that nobody asked for. A server may refuse a client before it
/// asks, if it is full, and close.
fn unasked(answer: Answer) -> Fault {
    if answer.last && answer.status >= 400 { Fault::Status } else { Fault::Malformed }
}
