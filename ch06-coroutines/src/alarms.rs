//! Time, for futures: an alarm for each that waits for it, and none for who has been dropped.

use crate::executor::Spawner;
use ch03_nonblocking::poller::Token;
use ch03_nonblocking::table::Table;
use ch03_nonblocking::timers::Timers;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Whom to wake when.
pub(crate) struct Alarms {
    wakers: Table<Waker>,
    times: Timers,
}

impl Alarms {
    pub(crate) fn new(now: Instant) -> Alarms {
        Alarms { wakers: Table::new(), times: Timers::new(now) }
    }

    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.times.next()
    }

    fn set(&mut self, at: Instant, waker: Waker) -> Token {
        let alarm = self.wakers.insert(waker);
        self.times.set(alarm.index, at);
        alarm
    }

    /// Takes it out, and its waker, which is to be dropped outside.
    fn clear(&mut self, alarm: Token) -> Option<Waker> {
        let waker = self.wakers.remove(alarm)?;
        self.times.clear(alarm.index);
        Some(waker)
    }

    /// Who is to be woken now.
    pub(crate) fn expired(
        &mut self,
        now: Instant,
        late: &mut Vec<u32>,
        woken: &mut Vec<Waker>,
    ) {
        self.times.expired(now, late);
        for index in late.drain(..) {
            let alarm = self.wakers.token(index);
            woken.extend(alarm.and_then(|alarm| self.wakers.remove(alarm)));
        }
    }
}

// ANCHOR: sleep
/// A future that is ready when its time has come.
pub struct Sleep<'h, 'a, P, D> {
    at: Instant,
    alarm: Option<Token>,
    spawner: &'h Spawner<'a, P, D>,
}

impl<'h, 'a, P, D> Sleep<'h, 'a, P, D> {
    pub(crate) fn new(at: Instant, spawner: &'h Spawner<'a, P, D>) -> Self {
        Sleep { at, alarm: None, spawner }
    }

    /// Forgets the alarm, if there is one.
    fn clear(&mut self) {
        if let Some(alarm) = self.alarm.take() {
            drop(self.spawner.alarms(|alarms| alarms.clear(alarm)));
        }
    }
}

impl<P, D> Future for Sleep<'_, '_, P, D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.clear(); // it may be another waker this time
        if self.spawner.now() >= self.at {
            return Poll::Ready(());
        }
        let (at, waker) = (self.at, context.waker().clone());
        self.alarm = Some(self.spawner.alarms(|alarms| alarms.set(at, waker)));
        Poll::Pending
    }
}

impl<P, D> Drop for Sleep<'_, '_, P, D> {
    /// Who does not wait any more is not to be woken.
    fn drop(&mut self) {
        self.clear();
    }
}
// ANCHOR_END: sleep
