//! What a connection can be waiting for, and how long it may.
//!
//! A deadline is for a whole phase, not for one read: a client that sends a byte
//! a second must not win a new deadline with each.

use crate::server::parse;
use clap::Args;
use std::fmt;
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

/// How long each [`Wait`] may last: the deadlines as command-line options, in seconds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Deadlines (seconds)")]
pub struct Timeouts {
    /// For the first byte of a request
    #[arg(long = "idle-timeout", value_name = "S", value_parser = parse::seconds, default_value = "60")]
    pub idle: Duration,
    /// For a head, from its first byte to its last
    #[arg(long = "head-timeout", value_name = "S", value_parser = parse::seconds, default_value = "10")]
    pub head: Duration,
    /// For a request's content, from the end of its head
    #[arg(long = "body-timeout", value_name = "S", value_parser = parse::seconds, default_value = "60")]
    pub body: Duration,
    /// Least bytes per second of content after the first --head-timeout; 0: any
    #[arg(long = "body-rate", value_name = "BYTES", default_value_t = 1024)]
    pub body_rate: u64,
    /// Within this time 16 KiB of the answer, or the rest of it, must be taken
    #[arg(long = "write-timeout", value_name = "S", value_parser = parse::seconds, default_value = "30")]
    pub write: Duration,
    /// For reading on after the last answer
    #[arg(long = "linger-timeout", value_name = "S", value_parser = parse::seconds, default_value = "2")]
    pub linger: Duration,
    /// From SIGTERM to the end
    #[arg(long = "drain-timeout", value_name = "S", value_parser = parse::seconds, default_value = "10")]
    pub drain: Duration,
}

/// Progress, for the write deadline. One byte a second is none.
pub const WRITE_STEP: usize = 16 * 1024;

impl Timeouts {
    // ANCHOR: due
    /// When a wait that began at `began` has lasted too long.
    pub fn due(&self, wait: Wait, began: Instant) -> Instant {
        let within = match wait {
            Wait::Idle => self.idle,
            Wait::Head => self.head,
            // Every byte received buys the time that it may take at the least rate.
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

/// Returns the instant `time` after `from`. A time of more than a hundred years counts as a
/// hundred: the sum of an [`Instant`] and a [`Duration`] panics where the clock ends.
pub fn later(from: Instant, time: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    from + time.min(LONGEST)
}

/// Looks within a write deadline. A client stops taking bytes some time between two looks,
/// and is closed a write deadline after the second: at most a sixteenth late. (At first its
/// own kernel goes on taking until its buffer is full, so that the first look finds progress.)
const LOOKS: u32 = 16;

impl Timeouts {
    /// From one look at a client that does not take what it is sent to the next: see
    /// [`Progress`].
    pub fn look(&self) -> Duration {
        self.write / LOOKS
    }
}

/// Whether a client takes what it is sent.
///
/// That a write succeeds says little, since the kernel takes much that the client has
/// not; and that none succeeds says little too, since a writer is woken only when a
/// third of the kernel's buffer has become free, which for a slow client may be minutes.
/// So while we cannot write we look now and then how much it has really taken
/// ([`Transport::unacked_bytes`](crate::stream::Transport::unacked_bytes)). It may come in lumps: a
/// client's kernel, too, tells of room only when there is a good piece of it.
#[derive(Debug, Default)]
pub struct Progress {
    /// What the client has to fall below, and how many looks ago that was settled.
    mark: Option<(usize, u32)>,
    /// Handed to the kernel since the last look.
    wrote: usize,
}

impl Progress {
    /// Begins the count, unless it has begun: a write has to wait, while `unacked_bytes`
    /// lie with the kernel.
    pub fn begin(&mut self, unacked_bytes: impl FnOnce() -> usize) {
        if self.mark.is_none() {
            *self = Progress { mark: Some((unacked_bytes(), 0)), wrote: 0 };
        }
    }

    /// So many bytes were handed to the kernel.
    pub fn wrote(&mut self, bytes: usize) {
        self.wrote += bytes;
    }

    /// It is time for a look: `unacked_bytes` bytes lie with the kernel. Says whether there
    /// is hope: not if for a whole write deadline less than [`WRITE_STEP`] was taken.
    pub fn is_enough(&mut self, unacked_bytes: usize) -> bool {
        let wrote = std::mem::take(&mut self.wrote);
        match &mut self.mark {
            Some((mark, looks)) if *mark + wrote < unacked_bytes + WRITE_STEP => {
                *mark += wrote;
                *looks += 1;
                *looks < LOOKS
            }
            mark => {
                *mark = Some((unacked_bytes, 0));
                true
            }
        }
    }
}

/// A time in whole milliseconds, as most mechanisms take it: rounded up, or the last
/// millisecond would be spent asking again and again.
pub fn milliseconds(time: Duration) -> u64 {
    let rest = time.subsec_nanos().div_ceil(1_000_000);
    time.as_secs().saturating_mul(1000).saturating_add(rest.into())
}

/// What is waited for and for how long at most, in words; no time if that is zero.
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
            Wait::Linger => f.write_str("for the client to leave")?,
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

    /// Whether a connection is cut off, given the unacknowledged bytes at each look.
    fn is_cut(looks: &[usize]) -> bool {
        let mut progress = Progress::default();
        progress.begin(|| FULL);
        looks.iter().any(|&unacked| !progress.is_enough(unacked))
    }

    #[test]
    fn nothing_taken_for_a_whole_deadline_is_too_little() {
        assert!(!is_cut(&[FULL; LOOKS as usize - 1]));
        assert!(is_cut(&[FULL; LOOKS as usize]));
    }

    #[test]
    fn what_is_taken_at_the_last_look_is_enough() {
        let mut looks = [FULL; LOOKS as usize];
        looks[LOOKS as usize - 1] -= WRITE_STEP;
        assert!(!is_cut(&looks));
        looks[LOOKS as usize - 1] += 1;
        assert!(is_cut(&looks));
    }

    #[test]
    fn a_whole_deadline_follows_what_was_taken() {
        let mut looks = [FULL - WRITE_STEP; LOOKS as usize + 1]; // taken before the first look
        assert!(is_cut(&looks));
        looks[LOOKS as usize] -= WRITE_STEP;
        assert!(!is_cut(&looks));
    }
}
