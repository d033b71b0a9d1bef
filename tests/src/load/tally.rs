//! What is counted, and when.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::answers::Answer;
use super::plan::Errors;

/// Longer than any answer takes, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;
/// Of a latency, so many digits are kept.
const DIGITS: u8 = 3;

/// What has happened since counting began.
#[derive(Debug)]
pub(super) struct Tally {
    counting: bool,
    pub requests: u64,
    pub bytes: u64,
    pub latency: Histogram<u64>,
    pub errors: Errors,
    /// When the last answer came.
    pub last: u64,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Connect,
    Reset,
    CutShort,
    TimedOut,
    Status,
    Malformed,
}

impl Tally {
    /// Everything that is counted is allocated here.
    pub(super) fn new() -> io::Result<Tally> {
        let latency =
            Histogram::new_with_bounds(1, LONGEST, DIGITS).map_err(io::Error::other)?;
        Ok(Tally {
            counting: false,
            requests: 0,
            bytes: 0,
            latency,
            errors: Errors::default(),
            last: 0,
        })
    }

    /// From now on.
    pub(super) fn begin(&mut self) {
        self.counting = true;
    }

    /// An answer, to what was asked, or should have been, so many nanoseconds before.
    /// Whether it is a good one.
    #[inline]
    pub(super) fn answer(&mut self, answer: Answer, now: u64, took: u64) -> bool {
        let good = (200..300).contains(&answer.status);
        if !good {
            self.fault(Fault::Status);
        } else if self.counting {
            self.requests += 1;
            self.bytes += answer.bytes;
            self.latency.saturating_record(took.max(1));
        }
        self.last = now;
        good
    }

    /// Something went wrong.
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.counting {
            *match fault {
                Fault::Connect => &mut self.errors.connect,
                Fault::Reset => &mut self.errors.reset,
                Fault::CutShort => &mut self.errors.cut_short,
                Fault::TimedOut => &mut self.errors.timed_out,
                Fault::Status => &mut self.errors.status,
                Fault::Malformed => &mut self.errors.malformed,
            } += 1;
        }
    }
}

/// How long this thread has been running on a processor, all its life.
pub(super) fn running() -> io::Result<Duration> {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    Ok(nix::time::clock_gettime(clock)?.into())
}
