//! What the lab measures within a process: samples of experiments that call the chapters' code
//! themselves. Each is taken in a fresh process, for which the book's program starts itself again.
//!
//! A package of its own, because this code must be fully optimized, and the program that renders,
//! draws and serves need not be (`[profile.release]`).

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

/// What repeats took, in seconds each.
pub struct Repeated {
    /// Of processor time, user and system together.
    pub cpu: f64,
    /// On the clock.
    pub wall: f64,
}

/// Calls `round` with ever larger numbers of repeats, from `times` on, until these take
/// `enough` processor time: so looking at the clock costs next to nothing. Returns what a
/// repeat of the last call took.
pub fn repeat(
    mut times: u32,
    enough: Duration,
    mut round: impl FnMut(u32) -> Result<()>,
) -> Result<Repeated> {
    round(times)?; // what is done or fetched for the first time is not measured
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
