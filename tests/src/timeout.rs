//! The suite's timeout: the longest time for which a client waits for progress.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Seconds without progress after which a case fails. Generous, because it is not a deadline of the
/// protocol: it only detects a server that hangs.
static TIMEOUT: AtomicU64 = AtomicU64::new(30);

/// Returns the suite's timeout.
pub fn timeout() -> Duration {
    Duration::from_secs(TIMEOUT.load(Ordering::Relaxed))
}

/// Sets the suite's timeout.
pub fn set_timeout(seconds: u64) {
    TIMEOUT.store(seconds.max(1), Ordering::Relaxed);
}

/// Returns whether a socket operation failed because its timeout has passed.
pub(crate) fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
