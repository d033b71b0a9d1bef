//! Samples of experiments that call the chapters' code directly, without a server. Each sample is
//! taken in a fresh process, for which the book's program starts itself again.
//!
//! This is a separate package because the code must be fully optimized, and the rest of the book's
//! program need not be (`[profile.release]`).

#[cfg(target_os = "linux")]
pub mod herd;
pub mod proc;
pub mod readiness;
pub mod request;
pub mod spawn;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub mod switch;

use std::time::{Duration, Instant};

use anyhow::Result;

use proc::cpu;

/// The time of one repeat, in seconds.
pub struct Repeated {
    /// Processor time, user and system together.
    pub cpu: f64,
    /// Elapsed time.
    pub wall: f64,
}

/// Measures the time of one repeat. `round` is called with a number of repeats to make, first
/// with `times`, then with twice as many each time, until a call takes at least `enough`
/// processor time; so the cost of reading the clocks is negligible. Returns the time per repeat
/// in the last call.
pub fn repeat(
    mut times: u32,
    enough: Duration,
    mut round: impl FnMut(u32) -> Result<()>,
) -> Result<Repeated> {
    round(times)?; // a first call, not measured: it fills caches and makes allocations
    loop {
        let (before, start) = (cpu()?, Instant::now());
        round(times)?;
        let (wall, spent) = (start.elapsed(), cpu()?.saturating_sub(before));
        if spent >= enough {
            let [cpu, wall] =
                [spent, wall].map(|time| time.as_secs_f64() / f64::from(times));
            return Ok(Repeated { cpu, wall });
        }
        times *= 2;
    }
}
