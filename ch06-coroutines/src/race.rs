//! Two futures in one task, and whichever is ready first.
//!
//! ```
//! use ch04_select_poll::poll::Poll;
//! use ch06_coroutines::Executor;
//! use ch06_coroutines::race::{Either, race};
//! use std::future::pending;
//! use std::time::{Duration, Instant};
//!
//! let executor: Executor<'_, Poll> = Executor::new(Poll::default())?;
//! let first = executor.run(|spawner| async move {
//!     let too_late = Instant::now() + Duration::from_millis(1);
//!     race(pending::<()>(), spawner.sleep(too_late)).await
//! })?;
//! assert_eq!(first.expect("no panic"), Either::Second(()));
//! # std::io::Result::Ok(())
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What was ready first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first of the two, or both at once.
    First(A),
    /// The second.
    Second(B),
}

// ANCHOR: race
/// Waits for two futures at once. When one of them is ready the other is dropped with this,
/// in the middle of its wait: so it is cancelled.
///
/// Both must not mind to be moved (`Unpin`), which spares this file all unsafe code. An
/// `async` block does mind; give it with [`pin!`](std::pin::pin).
pub fn race<A: Future + Unpin, B: Future + Unpin>(a: A, b: B) -> Race<A, B> {
    Race(a, b)
}

/// See [`race`].
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
