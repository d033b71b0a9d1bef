//! `samples EXPERIMENT WHAT COUNT` takes one sample for an experiment of the lab in this process,
//! which has done nothing else, and prints it as JSON.

#[cfg(target_os = "linux")]
mod herd;
mod hold;
mod readiness;
mod request;
mod spawn;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod switch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use samples::proc::cpu;
use serde_json::{Value, to_value};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let sample = match &words[..] {
        [experiment, what, count] => sample(experiment, what, count),
        _ => Err(anyhow::anyhow!("expected EXPERIMENT WHAT COUNT")),
    };
    match sample {
        Ok(sample) => {
            println!("{sample}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("samples: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn sample(experiment: &str, what: &str, count: &str) -> Result<Value> {
    let count: usize = count.parse().with_context(|| format!("{count} is no number"))?;
    let sample = match experiment {
        #[cfg(target_os = "linux")]
        "herd" => to_value(herd::sample(what, count)?),
        "hold" => {
            let to = what.parse().with_context(|| format!("{what} is not an address"))?;
            to_value(hold::run(to, count)?)
        }
        "readiness" => to_value(readiness::sample(what, count)?),
        "request" => to_value(request::sample(what, count)?),
        "spawn" => to_value(spawn::sample(what, count)?),
        #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        "switch" => to_value(switch::sample(what, count)?),
        _ => bail!("the experiment {experiment} takes no samples"),
    };
    Ok(sample?)
}

/// The time of one repeat, in seconds.
struct Repeated {
    /// Processor time of one repeat, user and system together.
    cpu: f64,
    /// Elapsed time of one repeat.
    wall: f64,
}

/// Returns the time of one repeat. Calls `round` with a number of repeats to make, first with
/// `times`, then with twice as many each time, until a call takes at least `enough` processor time.
/// The cost of reading the clocks is then negligible, and the duration of this last call is divided
/// by its number of repeats.
fn repeat(
    mut times: u32,
    enough: Duration,
    mut round: impl FnMut(u32) -> Result<()>,
) -> Result<Repeated> {
    round(times)?; // not measured: it fills caches and makes allocations
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
