//! The phases in which a connection waits for its client, and the deadline of each.
//!
//! A deadline covers a whole phase, not one read, so a client cannot stay in a phase
//! forever by sending one byte per second.
//!
//! ```
//! use ch01_blocking::deadlines::Wait;
//! use ch01_blocking::Options;
//! use ch01_blocking::program::Cli;
//! use clap::Parser;
//! use std::time::{Duration, Instant};
//!
//! let options: Options = Cli::parse_from(["server", "--head-timeout", "3"]).options;
//! let began = Instant::now();
//! let due = options.timeouts().due(Wait::Head, began);
//! assert_eq!(due, began + Duration::from_secs(3));
//! ```

use crate::server::parse;
use clap::Args;
use std::fmt;
use std::time::{Duration, Instant};

// ANCHOR: wait
/// A phase in which a connection waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Waits for the first byte of a request, as a keep-alive connection does most of
    /// the time.
    Idle,
    /// Waits for the rest of a request's head.
    Head,
    /// Waits for the rest of a request's content.
    Body {
        /// Bytes of content received so far.
        received: u64,
    },
    /// Waits until the client takes more of an answer.
    Write,
    /// Waits until the client closes the connection, after the last answer.
    Linger,
}
// ANCHOR_END: wait

/// The longest duration of each [`Wait`], as command-line options in seconds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Deadlines (seconds)")]
pub struct Timeouts {
    /// Longest wait for the first byte of a request
    #[arg(long = "idle-timeout", value_name = "S", value_parser = parse::seconds, default_value = "60")]
    pub idle: Duration,
    /// Longest wait for a head, from its first byte to its last
    #[arg(long = "head-timeout", value_name = "S", value_parser = parse::seconds, default_value = "10")]
    pub head: Duration,
    /// Longest wait for a request's content, from the end of its head
    #[arg(long = "body-timeout", value_name = "S", value_parser = parse::seconds, default_value = "60")]
    pub body: Duration,
    /// Minimum rate of a request's content in bytes per second, after a grace period of
    /// --head-timeout seconds; 0: no minimum
    #[arg(long = "body-rate", value_name = "BYTES", default_value_t = 1024)]
    pub body_rate: u64,
    /// Longest wait for the client to take the next 16 KiB of an answer, or all that is left of it
    #[arg(long = "write-timeout", value_name = "S", value_parser = parse::seconds, default_value = "30")]
    pub write: Duration,
    /// Longest time to read on after the last answer, until the client closes
    #[arg(long = "linger-timeout", value_name = "S", value_parser = parse::seconds, default_value = "2")]
    pub linger: Duration,
    /// Longest time from SIGTERM until the remaining connections are cut off
    #[arg(long = "drain-timeout", value_name = "S", value_parser = parse::seconds, default_value = "10")]
    pub drain: Duration,
}

/// Bytes of an answer that a client must take within one write deadline, or all
/// remaining bytes if they are fewer.
pub const WRITE_STEP: usize = 16 * 1024;

impl Timeouts {
    // ANCHOR: due
    /// Returns the deadline of a wait that began at `began`.
    pub fn due(&self, wait: Wait, began: Instant) -> Instant {
        let within = match wait {
            Wait::Idle => self.idle,
            Wait::Head => self.head,
            // Each byte received extends the deadline by the time that one byte takes
            // at the minimum rate, but never beyond the body timeout.
            Wait::Body { received } if self.body_rate > 0 => {
                let earned =
                    Duration::from_millis(received.saturating_mul(1000) / self.body_rate);
                self.body.min(self.head.saturating_add(earned))
            }
            Wait::Body { .. } => self.body,
            Wait::Write => self.write,
            Wait::Linger => self.linger,
        };
        later(began, within)
    }
    // ANCHOR_END: due
}

/// Returns the instant `time` after `from`. A `time` of more than a hundred years
/// counts as a hundred years, because [`Instant`] panics when a sum exceeds its range.
pub fn later(from: Instant, time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    from + time.min(LONGEST)
}

/// Number of times, within one write deadline, that a blocked write checks whether the
/// client takes bytes. A client that stops taking bytes is cut off one write deadline
/// after the check that follows, so at most a sixteenth of the deadline late.
const CHECKS: u32 = 16;

impl Timeouts {
    /// Returns the interval at which a blocked write is checked for progress: see
    /// [`Progress`].
    pub fn check_interval(&self) -> Duration {
        self.write / CHECKS
    }
}

/// A measure of whether a client takes the bytes that are sent to it.
///
/// A successful write proves little, because the kernel buffers much that the client
/// has not taken. A write that blocks proves little either, because a writer is woken
/// only when a third of the kernel's buffer is free, which may take minutes for a slow
/// client. So while a write blocks, the server checks from time to time how much the
/// client has acknowledged
/// ([`Transport::unacked_bytes`](crate::stream::Transport::unacked_bytes)).
/// Progress is judged over a whole write deadline, because acknowledgments arrive in
/// lumps: a client's kernel whose buffer was full reports room only when much of it is
/// free.
#[derive(Debug, Default)]
pub struct Progress {
    /// The number of unacknowledged bytes that progress is measured from, and the
    /// number of checks made since that number was set. `None` while no write blocks.
    mark: Option<(usize, u32)>,
    /// Number of bytes written since the last check.
    wrote: usize,
}

impl Progress {
    /// Starts to measure progress, for a write that may block, unless the measurement
    /// is already running. `unacked_bytes` returns the number of bytes that the client
    /// has not acknowledged.
    pub fn begin(&mut self, unacked_bytes: impl FnOnce() -> usize) {
        if self.mark.is_none() {
            *self = Progress { mark: Some((unacked_bytes(), 0)), wrote: 0 };
        }
    }

    /// Adds `bytes` to the number of bytes written since the last check.
    pub fn wrote(&mut self, bytes: usize) {
        self.wrote += bytes;
    }

    /// Checks the progress of a client that has not acknowledged `unacked_bytes` bytes.
    /// Returns `false` if the client has taken fewer than [`WRITE_STEP`] bytes during a
    /// whole write deadline.
    ///
    /// The deadline is counted in calls to this method. So while a write blocks, the method
    /// must be called once in each [`Timeouts::check_interval`].
    pub fn is_enough(&mut self, unacked_bytes: usize) -> bool {
        let wrote = std::mem::take(&mut self.wrote);
        match &mut self.mark {
            Some((mark, checks)) if *mark + wrote < unacked_bytes + WRITE_STEP => {
                *mark += wrote;
                *checks += 1;
                *checks < CHECKS
            }
            mark => {
                *mark = Some((unacked_bytes, 0));
                true
            }
        }
    }
}

/// Converts a time to whole milliseconds, the unit of poll(2) and most other waiting
/// mechanisms. Rounds up: with a timeout of 0 for the last fraction of a millisecond, a
/// caller would poll again and again.
pub fn milliseconds(time: Duration) -> u64 {
    let rest = time.subsec_nanos().div_ceil(1_000_000);
    time.as_secs().saturating_mul(1000).saturating_add(rest.into())
}

/// A wait and its longest duration, formatted for the trace. A duration of zero is
/// omitted.
#[derive(Debug)]
pub struct Describe(pub Wait, pub Duration);

impl fmt::Display for Describe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Describe(wait, within) = self;
        match wait {
            Wait::Idle => f.write_str("for a request")?,
            Wait::Head => f.write_str("for the rest of a head")?,
            Wait::Body { received } => {
                write!(f, "for more content ({received} bytes so far)")?
            }
            Wait::Write => f.write_str("for room to send")?,
            Wait::Linger => f.write_str("for the client to close")?,
        }
        if within.is_zero() {
            Ok(())
        } else {
            write!(f, ", {:.1} s at most", within.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: usize = 1_000_000;

    /// Returns whether a client is cut off, given the number of unacknowledged bytes at
    /// each check.
    fn is_cut(checks: &[usize]) -> bool {
        let mut progress = Progress::default();
        progress.begin(|| FULL);
        checks.iter().any(|&unacked| !progress.is_enough(unacked))
    }

    #[test]
    fn nothing_taken_for_a_whole_deadline_is_too_little() {
        assert!(!is_cut(&[FULL; CHECKS as usize - 1]));
        assert!(is_cut(&[FULL; CHECKS as usize]));
    }

    #[test]
    fn what_is_taken_at_the_last_look_is_enough() {
        let mut looks = [FULL; CHECKS as usize];
        looks[CHECKS as usize - 1] -= WRITE_STEP;
        assert!(!is_cut(&looks));
        looks[CHECKS as usize - 1] += 1;
        assert!(is_cut(&looks));
    }

    #[test]
    fn a_whole_deadline_follows_what_was_taken() {
        // The client takes `WRITE_STEP` bytes before the first check, and then nothing.
        let mut looks = [FULL - WRITE_STEP; CHECKS as usize + 1];
        assert!(is_cut(&looks));
        looks[CHECKS as usize] -= WRITE_STEP;
        assert!(!is_cut(&looks));
    }
}
