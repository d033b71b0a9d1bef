//! Counters and the latency histogram.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::parser::Response;
use super::plan::Errors;

/// The largest latency recorded, in nanoseconds: one hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Significant decimal digits of a recorded latency.
const DIGITS: u8 = 3;

/// The counters of responses and errors since counting began.
#[derive(Debug)]
pub(super) struct Stats {
    counting: bool,
    pub requests: u64,
    pub bytes: u64,
    pub latency: Histogram<u64>,
    pub errors: Errors,
    /// The time at which the last response arrived, in nanoseconds since the start.
    pub last: u64,
}

/// The kind of a failure; see [`Errors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    Reset,
    CutShort,
    TimedOut,
    Status,
    Malformed,
}

impl Stats {
    /// Returns counters of 0. All memory is allocated here, so that recording does not allocate.
    pub(super) fn new() -> io::Result<Stats> {
        let latency =
            Histogram::new_with_bounds(1, LONGEST, DIGITS).map_err(io::Error::other)?;
        Ok(Stats {
            counting: false,
            requests: 0,
            bytes: 0,
            latency,
            errors: Errors::default(),
            last: 0,
        })
    }

    /// Starts counting: responses and failures recorded earlier are ignored.
    pub(super) fn start_counting(&mut self) {
        self.counting = true;
    }

    /// Records a response that took `took` nanoseconds. Returns whether the response's status was
    /// 2xx.
    #[inline]
    pub(super) fn record_response(
        &mut self,
        response: Response,
        now: u64,
        took: u64,
    ) -> bool {
        let good = (200..300).contains(&response.status);
        if !good {
            self.record_failure(Failure::Status);
        } else if self.counting {
            self.requests += 1;
            self.bytes += response.bytes;
            self.latency.saturating_record(took.max(1));
        }
        self.last = now;
        good
    }

    /// Counts a failure, if counting has begun.
    pub(super) fn record_failure(&mut self, failure: Failure) {
        if self.counting {
            *match failure {
                Failure::Connect => &mut self.errors.connect,
                Failure::Reset => &mut self.errors.reset,
                Failure::CutShort => &mut self.errors.cut_short,
                Failure::TimedOut => &mut self.errors.timed_out,
                Failure::Status => &mut self.errors.status,
                Failure::Malformed => &mut self.errors.malformed,
            } += 1;
        }
    }
}

/// Returns the processor time that this thread has used.
pub(super) fn running() -> io::Result<Duration> {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    Ok(nix::time::clock_gettime(clock)?.into())
}
