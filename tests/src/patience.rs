//! How long the suite waits before it calls a silence a hang.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Seconds that a client waits before it calls a silence a hang. Generous: it is
/// no deadline of the protocol, only the end of the suite's patience.
static PATIENCE: AtomicU64 = AtomicU64::new(30);

/// The suite's patience.
pub fn patience() -> Duration {
    Duration::from_secs(PATIENCE.load(Ordering::Relaxed))
}

/// Changes the suite's patience.
pub fn set_patience(seconds: u64) {
    PATIENCE.store(seconds.max(1), Ordering::Relaxed);
}

/// Whether a socket's wait, for as long as it was told to, has been in vain.
pub(crate) fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
