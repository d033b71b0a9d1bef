//! The resources that a worker process holds, recorded in memory that its parent can read
//! after the worker's death.
//!
//! A process that serves one connection and exits needs no such record: its parent
//! knows that exactly one connection has ended. A process that serves many connections,
//! and shares counters and budgets with its siblings, records its resources here. It
//! records a resource before taking it: if the process is killed in between, its parent
//! gives back slightly too much, never too little.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The numbers of connections and of budgeted bytes that one process holds.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Usage {
    connections: AtomicUsize,
    bytes: AtomicUsize,
}

/// The resources that a process held when it died, as [`Usage::take`] returns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Number of open connections.
    pub connections: usize,
    /// Number of bytes claimed from the [budget](crate::http::Budget) for buffered requests.
    pub bytes: usize,
}

/// The record of this process's resources, if the process keeps one.
static INSTALLED: OnceLock<&'static Usage> = OnceLock::new();

impl Usage {
    /// Makes this process record its resources in `self`, which lies in memory shared
    /// with its parent ([`shared`](crate::server::sys::shared)).
    pub fn install(&'static self) {
        INSTALLED.get_or_init(|| self);
    }

    /// Returns the resources that the recording process held when it died, and resets
    /// the record for the next process.
    ///
    /// The caller must have reaped the dead process before.
    pub fn take(&self) -> Held {
        Held {
            connections: self.connections.swap(0, SeqCst),
            bytes: self.bytes.swap(0, SeqCst),
        }
    }
}

/// Records that this process has one more open connection.
pub(crate) fn connection_opened() {
    if let Some(usage) = INSTALLED.get() {
        usage.connections.fetch_add(1, SeqCst);
    }
}

/// Records that this process has one open connection fewer.
pub(crate) fn connection_closed() {
    if let Some(usage) = INSTALLED.get() {
        usage.connections.fetch_sub(1, SeqCst);
    }
}

/// Records that this process holds `bytes` more bytes of the memory budget.
pub(crate) fn bytes_claimed(bytes: usize) {
    if let Some(usage) = INSTALLED.get() {
        usage.bytes.fetch_add(bytes, SeqCst);
    }
}

/// Records that this process holds `bytes` fewer bytes of the memory budget.
pub(crate) fn bytes_released(bytes: usize) {
    if let Some(usage) = INSTALLED.get() {
        usage.bytes.fetch_sub(bytes, SeqCst);
    }
}
