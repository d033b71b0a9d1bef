//! The limits on everything that a client controls.

use crate::server::parse;
use crate::server::usage;
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Limits on one message, and on all messages together, as command-line options. (Two
/// options have an `id`, because fields of `Timeouts` have the same names, from which
/// clap would make the same `id`.)
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sizes (bytes)")]
pub struct Limits {
    /// Longest request line in bytes, without its CR LF; a request with a longer one is
    /// answered with 414
    #[arg(long = "max-line", value_name = "N", value_parser = parse::size::<usize>, default_value = "8192")]
    pub line: usize,
    /// Longest head with its empty line, and longest trailers, in bytes; a request with
    /// longer ones is answered with 431
    #[arg(id = "max-head", long = "max-head", value_name = "N", value_parser = parse::size::<usize>, default_value = "16384")]
    pub head: usize,
    /// Maximum number of fields in a head, or in trailers (at most 128); a request with
    /// more is answered with 431
    #[arg(long = "max-fields", value_name = "N", value_parser = parse::fields, default_value = "64")]
    pub fields: usize,
    /// Largest content of a request in bytes; a request with more is answered with 413
    #[arg(id = "max-body", long = "max-body", value_name = "N", value_parser = parse::size::<u64>, default_value = "1048576")]
    pub body: u64,
    /// Number of unsent bytes of answers on one connection at which the server reads no
    /// further request from it
    #[arg(long = "max-output", value_name = "N", value_parser = parse::size::<usize>, default_value = "65536")]
    pub output: usize,
    /// Maximum memory in bytes for all requests in progress together, not counting the
    /// first 16 KiB of each; a request for which too little is left is answered with 503
    #[arg(long = "max-buffered", value_name = "N", value_parser = Budget::parse, default_value = "268435456")]
    pub buffered: Budget,
}

/// The upper bound of [`Limits::fields`]: parsing reserves space for this many fields on
/// the stack.
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

/// A budget of bytes that all connections share.
///
/// A limit for each connection is not enough: ten thousand clients, each within its own
/// limit of a mebibyte, would take ten gibibytes.
#[derive(Clone, Debug)]
pub struct Budget {
    size: usize,
    left: Left,
}

/// The number of unclaimed bytes: counted for one process, or shared by several.
#[derive(Clone, Debug)]
enum Left {
    Own(Arc<AtomicUsize>),
    Shared(&'static AtomicUsize),
}

impl Budget {
    /// Returns a budget of `bytes` bytes, for one process.
    pub fn new(bytes: usize) -> Budget {
        Budget { size: bytes, left: Left::Own(Arc::new(AtomicUsize::new(bytes))) }
    }

    fn parse(text: &str) -> Result<Budget, String> {
        parse::size(text).map(Budget::new)
    }

    /// Returns a budget of the same size as `self` that is counted in `left`, which
    /// several processes share.
    pub fn shared(&self, left: &'static AtomicUsize) -> Budget {
        left.store(self.size, Relaxed);
        Budget { size: self.size, left: Left::Shared(left) }
    }

    /// Returns the number of bytes of the budget that are not claimed.
    pub fn left(&self) -> usize {
        self.counter().load(Relaxed)
    }

    /// Makes all bytes unclaimed again. The caller must ensure that no process is left
    /// that could hold a claim.
    pub fn refill(&self) {
        self.counter().store(self.size, Relaxed);
    }

    /// Gives back `bytes` bytes that a dead process had claimed from the budget.
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

/// Bytes claimed from a [`Budget`]; dropping the claim returns the bytes.
#[derive(Debug, Default)]
pub(super) struct Claim {
    bytes: usize,
    from: Option<Budget>,
}

impl Claim {
    /// Grows the claim to `bytes` bytes in total. Returns `false`, and leaves the claim
    /// as it was, if the budget has too few bytes left.
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
