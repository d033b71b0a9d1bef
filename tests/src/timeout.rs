//! The suite's timeout: the longest time for which a client waits for progress.

use std::cell::Cell;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Seconds without progress after which a case fails. The timeout is generous, because it is not a
/// deadline of the protocol: it only detects a server that hangs. The chapters' tests use this
/// value. `client-suite check --timeout`, the mutants, the course's gates, the cases that a small
/// server fails, and a plan's `timeout` set shorter ones.
static TIMEOUT: AtomicU64 = AtomicU64::new(30);

thread_local! {
    /// The timeout of the case that this thread judges; `None` if the case uses the suite's
    /// timeout.
    static OWN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Returns the timeout of the case that this thread judges: the case's own, or, if it has none, the
/// suite's.
pub fn timeout() -> Duration {
    OWN.get().unwrap_or_else(|| Duration::from_secs(TIMEOUT.load(Ordering::Relaxed)))
}

/// Calls `judge` with `timeout` as the timeout of the case that this thread judges.
pub fn with_timeout<R>(timeout: Duration, judge: impl FnOnce() -> R) -> R {
    let before = OWN.replace(Some(timeout));
    let result = judge();
    OWN.set(before);
    result
}

/// Sets the suite's timeout, in seconds; 0 counts as 1.
pub fn set_timeout(seconds: u64) {
    TIMEOUT.store(seconds.max(1), Ordering::Relaxed);
}

/// Returns whether a socket operation failed because its timeout has passed.
pub(crate) fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
