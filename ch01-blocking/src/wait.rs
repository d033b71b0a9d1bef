//! What a connection can be waiting for, and how long it may.
//!
//! A deadline is for a whole phase, not for one read: a client that sends a byte
//! a second must not win a new deadline with each.

use std::time::{Duration, Instant};

/// What a connection waits for. Nearly all of its life is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The first byte of a request: where a keep-alive connection spends its time.
    Idle,
    /// The rest of a head.
    Head,
    /// The rest of a content, of which so many bytes have come.
    Body {
        /// Bytes of content so far.
        received: u64,
    },
    /// The client to take what we send.
    Write,
    /// The client to notice that we have said our last word.
    Linger,
}

/// How long each [`Wait`] may last.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// For the first byte of a request.
    pub idle: Duration,
    /// For a head, from its first byte to its last.
    pub head: Duration,
    /// For a content, from the end of its head.
    pub body: Duration,
    /// Least bytes a second of content after the first `head`; 0 asks for none.
    pub body_rate: u64,
    /// In this time [`WRITE_STEP`] bytes, or what is left, must leave.
    pub write: Duration,
    /// For reading on after the last answer.
    pub linger: Duration,
    /// From the signal to stop to the end.
    pub drain: Duration,
}

/// Progress, for the write deadline. One byte a second is none.
pub const WRITE_STEP: usize = 16 * 1024;

impl Timeouts {
    // ANCHOR: due
    /// When a wait that began at `began` has lasted too long.
    pub fn due(&self, wait: Wait, began: Instant) -> Instant {
        began
            + match wait {
                Wait::Idle => self.idle,
                Wait::Head => self.head,
                // Every byte received buys the time that it may take at the least rate.
                Wait::Body { received } if self.body_rate > 0 => {
                    let earned = Duration::from_millis(
                        received.saturating_mul(1000) / self.body_rate,
                    );
                    self.body.min(self.head.saturating_add(earned))
                }
                Wait::Body { .. } => self.body,
                Wait::Write => self.write,
                Wait::Linger => self.linger,
            }
    }
    // ANCHOR_END: due
}
