//! The futures that do not belong to a descriptor: [`Sleep`] waits until a given time,
//! [`yield_now`] lets the other tasks run, and [`race`] combines two futures into one that
//! is ready as soon as either is.

use super::scheduler::Scheduler;
use ch03_nonblocking::poller::Token;
use std::future::poll_fn;
use std::mem::replace;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

// ANCHOR: sleep
/// A future that is ready at a given time: see
/// [`Handle::sleep_until`](super::Handle::sleep_until).
pub struct Sleep<'s> {
    at: Instant,
    timer: Option<Token>,
    scheduler: &'s Scheduler,
}

pub(crate) fn sleep(scheduler: &Scheduler, at: Instant) -> Sleep<'_> {
    Sleep { at, timer: None, scheduler }
}

impl Sleep<'_> {
    fn clear(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.scheduler.clear_timer(timer);
        }
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.clear(); // the next poll may pass another waker
        if self.scheduler.now() >= self.at {
            return Poll::Ready(());
        }
        let waiter = self.scheduler.waiter(context.waker());
        self.timer = Some(self.scheduler.timers().set(waiter, self.at));
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    /// Clears the timer of a future that is dropped before its time.
    fn drop(&mut self) {
        self.clear();
    }
}
// ANCHOR_END: sleep

// ANCHOR: yield_now
/// Suspends the calling future until every task that is already in the run queue has
/// run.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
// ANCHOR_END: yield_now

/// The output of the future that was ready first, of two that [`race`] has combined.
///
/// ```
/// use ch04_select_poll::poll::Poll;
/// use ch06_coroutines::{Either, Runtime, race};
/// use std::future::pending;
/// use std::time::{Duration, Instant};
///
/// let runtime = Runtime::new(Box::new(Poll::default()))?;
/// let first = runtime.run_future(|handle| async move {
///     let too_late = Instant::now() + Duration::from_millis(1);
///     race(pending::<()>(), handle.sleep_until(too_late)).await
/// })?;
/// assert_eq!(first.expect("no panic"), Either::Second(()));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first future was ready, or both were.
    First(A),
    /// Only the second future was ready.
    Second(B),
}

// ANCHOR: race
/// Returns a future that is ready as soon as `a` or `b` is. The slower future is
/// dropped together with the returned one, in the middle of its wait: it is cancelled.
///
/// Both futures must be `Unpin`, so that this file needs no unsafe code. An `async`
/// block is not `Unpin`; pass it by [`pin!`](std::pin::pin).
///
/// [`Either`] has an example.
pub fn race<A: Future + Unpin, B: Future + Unpin>(a: A, b: B) -> Race<A, B> {
    Race(a, b)
}

/// The future that [`race`] returns.
#[derive(Debug)]
pub struct Race<A, B>(A, B);

impl<A: Future + Unpin, B: Future + Unpin> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(a) = Pin::new(&mut self.0).poll(context) {
            return Poll::Ready(Either::First(a));
        }
        Pin::new(&mut self.1).poll(context).map(Either::Second)
    }
}
// ANCHOR_END: race
