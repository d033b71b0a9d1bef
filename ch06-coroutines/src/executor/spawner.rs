//! What a task asks of its executor.

use super::{Begins, Core};
use crate::alarms::{Alarms, Sleep};
use crate::reactor::{Reactor, Watch};
use ch03_nonblocking::poller::Poller;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::replace;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

/// An executor, for those who run on it.
pub struct Spawner<'a, P, D>(pub(crate) Rc<Core<'a, P, D>>);

impl<P, D> Clone for Spawner<'_, P, D> {
    fn clone(&self) -> Self {
        Spawner(self.0.clone())
    }
}

impl<P, D> Spawner<'_, P, D> {
    /// When this round began: what the time is, to within a turn of each who had one.
    pub fn now(&self) -> Instant {
        self.0.now.get()
    }

    pub(crate) fn alarms<T>(&self, of: impl FnOnce(&mut Alarms) -> T) -> T {
        of(&mut self.0.alarms.borrow_mut())
    }

    /// Alarms that are set.
    pub fn alarms_set(&self) -> usize {
        self.0.alarms.borrow().len()
    }

    /// Tasks that there are.
    pub fn tasks(&self) -> usize {
        self.0.tasks.borrow().len()
    }
}

impl<'a, P: Poller, D: Begins<'a>> Spawner<'a, P, D> {
    // ANCHOR: spawn
    /// A task more, at the end of the run queue.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'a) {
        self.spawn_for(0, Box::pin(future));
    }
    // ANCHOR_END: spawn

    /// The same for the connection of this number, which the trace will name. If the
    /// executor has ended, the future is dropped.
    pub(crate) fn spawn_for(&self, number: u64, future: super::Boxed<'a>) {
        if !self.0.over.get() {
            let task = self.0.add(future, number);
            self.0.queue(task);
        }
    }

    /// A future that is ready when this time has come.
    pub fn sleep(&self, until: Instant) -> Sleep<'_, 'a, P, D> {
        Sleep::new(until, self)
    }
}

impl<'a, P: Poller, D: Begins<'a>> Watch for Spawner<'a, P, D> {
    type Poller = P;
    type Resting = D;
    type Waiter = Waker;

    fn reactor<T>(&self, of: impl FnOnce(&mut Reactor<P, D, Waker>) -> T) -> T {
        of(&mut self.0.reactor.borrow_mut())
    }

    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn wake(&self, waker: Waker) {
        waker.wake();
    }

    fn begin(&self, who: D) -> io::Result<()> {
        self.spawn_for(who.number(), who.begin());
        Ok(())
    }
}

// ANCHOR: yield_now
/// Lets all others who are queued run first.
pub async fn yield_now() {
    let mut before = false;
    poll_fn(|context| {
        if replace(&mut before, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
// ANCHOR_END: yield_now
