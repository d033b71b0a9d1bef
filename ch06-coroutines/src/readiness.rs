//! A descriptor, for futures: the leaf at which a task waits.

use crate::executor::{Begins, Spawner};
use crate::race::{Either, race};
use crate::source::{Descriptor, Until};
use crate::task::Woken;
use ch03_nonblocking::poller::Poller;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

// ANCHOR: readiness
/// A future that is ready when there may be what is waited for.
pub struct Readiness<'d, 'a, F: AsFd, P: Poller, D: Begins<'a>> {
    descriptor: &'d Descriptor<F, Spawner<'a, P, D>>,
    until: Until,
    /// Whether the descriptor knows of this one, and of no other.
    waits: bool,
}

impl<'a, F: AsFd, P: Poller, D: Begins<'a>> Future for Readiness<'_, 'a, F, P, D> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Readiness { descriptor, until, .. } = *self;
        self.stop();
        // What was told before anybody asked is remembered: this look, and the waker
        // that is left after it, are one step, since the poller is asked only when no
        // task runs.
        if descriptor.source(|source| source.has_come(until)) {
            return Poll::Ready(Ok(()));
        }
        match descriptor.subscribe(until, context.waker().clone()) {
            Ok(()) => self.waits = true,
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Pending
    }
}

impl<'a, F: AsFd, P: Poller, D: Begins<'a>> Drop for Readiness<'_, 'a, F, P, D> {
    fn drop(&mut self) {
        self.stop();
    }
}
// ANCHOR_END: readiness

impl<'a, F: AsFd, P: Poller, D: Begins<'a>> Readiness<'_, 'a, F, P, D> {
    fn stop(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.descriptor.unsubscribe(self.until);
        }
    }
}

impl<'a, F: AsFd, P: Poller, D: Begins<'a>> Descriptor<F, Spawner<'a, P, D>> {
    /// Waits until it may be so. Who has tried, and found that it would have to wait, says
    /// so ([`read_would_block`](Descriptor::read_would_block)), or this is ready at once.
    ///
    /// # Errors
    /// The poller's. Another task waits for the same already (`ResourceBusy`).
    pub fn ready(&self, until: Until) -> Readiness<'_, 'a, F, P, D> {
        Readiness { descriptor: self, until, waits: false }
    }

    // ANCHOR: ready_by
    /// The same, until a deadline passes.
    pub async fn ready_by(&self, until: Until, due: Instant) -> io::Result<Woken> {
        match race(self.ready(until), self.handle().sleep(due)).await {
            Either::First(ready) => ready.map(|()| Woken::Up),
            Either::Second(()) => Ok(Woken::TimedOut),
        }
    }
    // ANCHOR_END: ready_by
}
