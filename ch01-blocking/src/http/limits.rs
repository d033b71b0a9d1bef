//! Limits: a bound on everything that a client controls, in one place.

use crate::server::usage;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How much of everything one message, or all together, may take. Sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The request line, its CR LF not counted: 414.
    pub line: usize,
    /// Request line, fields and the empty line; trailers likewise: 431.
    pub head: usize,
    /// The number of fields; trailers likewise: 431. At most [`MAX_FIELDS`].
    pub fields: usize,
    /// A request's content: 413.
    pub body: u64,
    /// Answers waiting to be sent on one connection, beyond which no more of its
    /// requests are read.
    pub output: usize,
    /// What all requests in progress may hold beyond their first 16 KiB each: 503.
    pub buffered: Budget,
}

/// The most fields that a head may have whatever [`Limits::fields`] says: parsing
/// wants a place for each on the stack.
pub const MAX_FIELDS: usize = 128;

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            line: 8192,
            head: 16384,
            fields: 64,
            body: 1 << 20,
            output: 1 << 16,
            buffered: Budget::new(1 << 28),
        }
    }
}

/// A number of bytes that all connections share.
///
/// A limit for each connection is not enough: ten thousand clients, each within
/// its own mebibyte, are ten gibibytes.
#[derive(Clone, Debug)]
pub struct Budget {
    size: usize,
    left: Left,
}

/// What nobody holds now: one process's own, or a place that several share.
#[derive(Clone, Debug)]
enum Left {
    Own(Arc<AtomicUsize>),
    Shared(&'static AtomicUsize),
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Budget {
        Budget { size: bytes, left: Left::Own(Arc::new(AtomicUsize::new(bytes))) }
    }

    /// The same, counted in memory that several processes share.
    pub fn shared(bytes: usize, left: &'static AtomicUsize) -> Budget {
        left.store(bytes, Relaxed);
        Budget { size: bytes, left: Left::Shared(left) }
    }

    /// What nobody holds now.
    pub fn left(&self) -> usize {
        self.counter().load(Relaxed)
    }

    /// Takes it all back, when nobody is left who could hold any.
    pub fn refill(&self) {
        self.counter().store(self.size, Relaxed);
    }

    /// Takes back what a process held that is dead.
    pub fn give_back(&self, bytes: usize) {
        self.counter().fetch_add(bytes, Relaxed);
    }

    fn counter(&self) -> &AtomicUsize {
        match &self.left {
            Left::Own(left) => left,
            Left::Shared(left) => left,
        }
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Claim {
    bytes: usize,
    from: Option<Budget>,
}

impl Claim {
    /// Holds `bytes` in all from now on. Says `false`, and holds what it held
    /// before, if the budget has not so much left.
    pub(super) fn grow_to(&mut self, bytes: usize, budget: &Budget) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        usage::bytes_claimed(more);
        let taken = budget
            .counter()
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more))
            .is_ok();
        if taken {
            self.bytes += more;
            self.from = Some(budget.clone());
        } else {
            usage::bytes_released(more);
        }
        taken
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(budget) = &self.from {
            budget.counter().fetch_add(self.bytes, Relaxed);
            usage::bytes_released(self.bytes);
        }
    }
}
