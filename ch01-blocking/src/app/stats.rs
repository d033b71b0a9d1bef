//! Counters for `/stats`, in memory that parent and children share.
//!
//! A server of several processes has one set of counters: their memory is mapped before
//! the first fork, and a fork shares this memory instead of copying it (mmap(2),
//! MAP_SHARED).

use crate::server::usage;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The counters of a server, over all its processes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Stats {
    /// Number of connections accepted.
    pub accepted: Counter,
    /// Number of connections that have ended.
    pub closed: Counter,
    /// Number of requests answered by a route or a file.
    pub requests: Counter,
    /// Number of messages and connections refused.
    pub refused: Counter,
    /// Number of connections closed by a deadline.
    pub timeouts: Counter,
    /// Number of panics that were caught.
    pub panics: Counter,
}

impl Stats {
    /// Counts an accepted connection. Returns the number of other open connections over all
    /// processes. The number is never too low, but may include a connection that closes at
    /// this moment.
    pub fn connection_opened(&self) -> usize {
        usage::connection_opened();
        let closed = self.closed.get();
        let before = self.accepted.add();
        usize::try_from(before.saturating_sub(closed)).unwrap_or(usize::MAX)
    }

    /// Counts a connection that has ended.
    pub fn connection_closed(&self) {
        self.closed.add();
        usage::connection_closed();
    }

    /// Returns the counters as JSON, the content of `/stats`.
    pub fn json(&self) -> String {
        let Stats { accepted, closed, requests, refused, timeouts, panics } = self;
        // `closed` is read first, so that a connection that opens and closes meanwhile does
        // not make `open` negative.
        let closed = closed.get();
        let accepted = accepted.get();
        format!(
            concat!(
                "{{\"accepted\":{},\"open\":{},\"requests\":{},",
                "\"refused\":{},\"timeouts\":{},\"panics\":{}}}\n"
            ),
            accepted,
            accepted.saturating_sub(closed),
            requests.get(),
            refused.get(),
            timeouts.get(),
            panics.get()
        )
    }
}

/// A counter that only grows.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds 1 to the counter, and returns its previous value.
    pub fn add(&self) -> u64 {
        self.0.fetch_add(1, SeqCst)
    }

    /// Returns the number of calls to [`add`](Counter::add) so far, in all processes that
    /// share the counter.
    pub fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}
