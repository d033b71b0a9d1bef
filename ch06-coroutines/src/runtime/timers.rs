//! Deadlines: what to notify when. One wheel for all tasks and idle connections of a thread.

use super::waker::Waiter;
use ch03_nonblocking::poller::Token;
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers as Wheel;
use std::time::{Duration, Instant};

/// Bytes of a timer that is set.
pub(crate) const TIMER: usize = Table::<Waiter>::PLACE + Wheel::ENTRY;

/// Names no timer.
pub(crate) const NO_TIMER: Token = Token { index: u32::MAX, generation: 0 };

/// The timers of one thread. A timer is named by a token, and gone when it has expired.
pub(crate) struct Timers {
    waiters: Table<Waiter>,
    wheel: Wheel,
    /// Timers that are to run from the end of this round on.
    begin: Vec<(Token, Duration)>,
    /// Filled and emptied by each [`expire`](Timers::expire).
    late: Vec<u32>,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Timers {
        let (waiters, wheel) = (Table::new(), Wheel::new(now));
        Timers { waiters, wheel, begin: Vec::new(), late: Vec::new() }
    }

    /// Returns the number of timers that are set.
    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Returns when the next one expires, or earlier.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Sets a timer that notifies `waiter`.
    pub(crate) fn set(&mut self, waiter: Waiter, at: Instant) -> Token {
        let timer = self.waiters.insert(waiter);
        self.wheel.set(timer.index, at);
        timer
    }

    /// Sets a timer that runs from the end of this round on: for a time that begins now, as
    /// the round itself may have begun a while ago. `timer` is set anew if it still runs.
    pub(crate) fn set_after_round(
        &mut self,
        timer: Token,
        waiter: Waiter,
        within: Duration,
    ) -> Token {
        let timer = if self.runs(timer) { timer } else { self.waiters.insert(waiter) };
        self.begin.push((timer, within));
        timer
    }

    /// Begins the timers of this round, all with one look at the clock.
    pub(crate) fn end_round(&mut self) {
        if self.begin.is_empty() {
            return;
        }
        let (now, waiters) = (Instant::now(), &self.waiters);
        for alike in self.begin.chunk_by(|one, other| one.1 == other.1) {
            let runs = |timer: &Token| waiters.token(timer.index) == Some(*timer);
            let timers = alike.iter().map(|(timer, _)| *timer).filter(runs);
            self.wheel.set_all(timers.map(|timer| timer.index), now + alike[0].1);
        }
        self.begin.clear();
    }

    /// Returns whether a timer has not expired.
    pub(crate) fn runs(&mut self, timer: Token) -> bool {
        self.waiters.get_mut(timer).is_some()
    }

    /// Clears a timer, if it has not expired. Returns its waiter, to be dropped where nothing
    /// is borrowed.
    pub(crate) fn clear(&mut self, timer: Token) -> Option<Waiter> {
        let waiter = self.waiters.remove(timer)?;
        self.wheel.clear(timer.index);
        Some(waiter)
    }

    /// Removes the timers that have expired, and adds what they notify to `woken`.
    pub(crate) fn expire(&mut self, now: Instant, woken: &mut Vec<Waiter>) {
        self.wheel.expired(now, &mut self.late);
        for index in self.late.drain(..) {
            let timer = self.waiters.token(index);
            woken.extend(timer.and_then(|timer| self.waiters.remove(timer)));
        }
    }
}
