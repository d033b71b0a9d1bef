//! The timers of one thread, which decide what to notify at which time. One timing wheel serves all
//! tasks and idle connections.

use super::waker::Waiter;
use ch03_nonblocking::poller::Token;
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers as Wheel;
use std::time::{Duration, Instant};

/// Bytes that a timer takes while it is set.
pub(crate) const TIMER: usize = Table::<Waiter>::PLACE + Wheel::ENTRY;

/// A token that never refers to a timer.
pub(crate) const NO_TIMER: Token = Token { index: u32::MAX, generation: 0 };

/// The timers of one thread. A timer's token is stale as soon as the timer has expired.
pub(crate) struct Timers {
    waiters: Table<Waiter>,
    wheel: Wheel,
    /// The timers that start at the end of the current round of the run queue, with their
    /// durations.
    begin: Vec<(Token, Duration)>,
    /// A buffer that each [`expire`](Timers::expire) fills and empties.
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

    /// Returns a time that is not after the next expiry; `None` if no timer is set.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.wheel.next()
    }

    /// Sets a timer that notifies `waiter` at the time `at`, and returns its token.
    pub(crate) fn set(&mut self, waiter: Waiter, at: Instant) -> Token {
        let timer = self.waiters.insert(waiter);
        self.wheel.set(timer.index, at);
        timer
    }

    /// Sets a timer that notifies `waiter` when the duration `within` has passed since the end of
    /// the current round of the run queue, and returns the timer's token. The beginning of the
    /// round would be the wrong start, because it may be a while ago. If `timer` is still set, that
    /// timer is restarted instead.
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

    /// Starts the timers that [`set_after_round`](Timers::set_after_round) has set in the round
    /// that ends, all with one reading of the clock.
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

    /// Returns whether a timer is set: it has neither expired nor been cleared.
    pub(crate) fn runs(&mut self, timer: Token) -> bool {
        self.waiters.get_mut(timer).is_some()
    }

    /// Clears a timer and returns its waiter, which the caller drops while no field of the runtime
    /// is borrowed. Returns `None` if the timer is not set.
    pub(crate) fn clear(&mut self, timer: Token) -> Option<Waiter> {
        let waiter = self.waiters.remove(timer)?;
        self.wheel.clear(timer.index);
        Some(waiter)
    }

    /// Removes the timers that have expired, and appends their waiters to `woken`.
    pub(crate) fn expire(&mut self, now: Instant, woken: &mut Vec<Waiter>) {
        self.wheel.expired(now, &mut self.late);
        for index in self.late.drain(..) {
            let timer = self.waiters.token(index);
            woken.extend(timer.and_then(|timer| self.waiters.remove(timer)));
        }
    }
}
