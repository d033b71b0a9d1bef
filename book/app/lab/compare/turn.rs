//! One server's turn in one cell, and what all its turns come to.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client_suite::load::{self, Errors, Outcome, Phase, Plan};
use serde::Serialize;

use super::super::family;
use super::super::spread::Spread;
use super::Effort;
use super::cells::Cell;
use super::contestants::Contestant;
use super::cores::Cores;

/// What was measured in one turn. Times in microseconds.
#[derive(Debug)]
pub(super) struct Turn {
    cpu: f64,
    /// Of its processor time, outside and inside the kernel.
    ticks: [u64; 2],
    requests_per_second: f64,
    /// The median, and what 1 in 100 and 1 in 1,000 exceed.
    latency: [f64; 3],
    client_busy: f64,
    trouble: Trouble,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Trouble {
    errors: Errors,
    /// Idle connections that the server has ended.
    idle_lost: u64,
}

/// All turns of one server in one cell. Times in microseconds.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) cell: &'static str,
    #[serde(skip)]
    pub(super) title: &'static str,
    pub(super) server: String,
    /// Processor time for each request.
    pub(super) cpu: Spread,
    /// The parts of its median outside and inside the kernel: as among all turns' ticks, since
    /// one turn has too few of them.
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) requests_per_second: Spread,
    pub(super) p50: Spread,
    pub(super) p99: Spread,
    pub(super) p999: Spread,
    /// The part of the time in which the client's thread was running.
    pub(super) client_busy: Spread,
    pub(super) trouble: Trouble,
}

/// Starts the server, and lets it have its turn.
pub(super) fn take(
    contestant: &Contestant,
    cell: &Cell,
    site: &Path,
    cores: &Cores,
    effort: Effort,
) -> Result<Turn> {
    let running = contestant.start(site, cores)?;
    let plan = Plan {
        connections: cell.connections,
        depth: cell.depth,
        idle: cell.idle,
        warm_up: Duration::from_secs_f64(effort.warm_up),
        time: Duration::from_secs_f64(effort.measured),
        ..Plan::new(running.address, cell.path)
    };
    let (mut before, mut after) = (None, None);
    let outcome = load::run(&plan, &mut |phase| match phase {
        Phase::Measuring { .. } if before.is_none() => {
            before = Some(account(running.id()))
        }
        Phase::Finished => after = Some(account(running.id())),
        _ => {}
    })?;
    let before = before.context("nothing was measured")??;
    turn(&outcome, before, after.context("measuring had no end")??, cell)
}

/// Its processor time, and its ticks outside and inside the kernel.
fn account(pid: u32) -> Result<(Duration, [u64; 2])> {
    let [user, system, ..] = family::ticks(pid)?;
    Ok((family::used(pid)?, [user, system]))
}

fn turn(
    outcome: &Outcome,
    before: (Duration, [u64; 2]),
    after: (Duration, [u64; 2]),
    cell: &Cell,
) -> Result<Turn> {
    let idle_lost = cell.idle.saturating_sub(outcome.idle) as u64;
    let trouble = Trouble { errors: outcome.errors, idle_lost };
    ensure!(outcome.requests > 0, "no request was answered well, and {trouble}");
    let each = |time: Duration| time.as_secs_f64() * 1e6 / outcome.requests as f64;
    let quantile = |q| outcome.latency.value_at_quantile(q) as f64 / 1000.0;
    Ok(Turn {
        cpu: each(after.0.saturating_sub(before.0)),
        ticks: [0, 1].map(|at| after.1[at] - before.1[at]),
        requests_per_second: outcome.requests as f64 / outcome.elapsed.as_secs_f64(),
        latency: [0.5, 0.99, 0.999].map(quantile),
        client_busy: outcome.client_busy,
        trouble,
    })
}

impl Row {
    pub(super) fn of(
        cell: &'static Cell,
        contestant: &Contestant,
        turns: &[Turn],
    ) -> Row {
        let spread = |of: fn(&Turn) -> f64| Spread::of(turns.iter().map(of).collect());
        let cpu = spread(|turn| turn.cpu);
        let ticks =
            |at: usize| turns.iter().map(|turn| turn.ticks[at]).sum::<u64>() as f64;
        let user = cpu.median * ticks(0) / (ticks(0) + ticks(1)).max(1.0);
        Row {
            cell: cell.name,
            title: cell.title,
            server: contestant.name.clone(),
            cpu,
            user,
            system: cpu.median - user,
            requests_per_second: spread(|turn| turn.requests_per_second),
            p50: spread(|turn| turn.latency[0]),
            p99: spread(|turn| turn.latency[1]),
            p999: spread(|turn| turn.latency[2]),
            client_busy: spread(|turn| turn.client_busy),
            trouble: turns
                .iter()
                .fold(Trouble::default(), |all, turn| all.and(turn.trouble)),
        }
    }
}

impl Trouble {
    /// Whether anything went wrong.
    pub(super) fn any(&self) -> bool {
        self.errors.total() + self.idle_lost > 0
    }

    fn and(self, other: Trouble) -> Trouble {
        let (a, b) = (self.errors, other.errors);
        Trouble {
            errors: Errors {
                connect: a.connect + b.connect,
                reset: a.reset + b.reset,
                cut_short: a.cut_short + b.cut_short,
                timed_out: a.timed_out + b.timed_out,
                status: a.status + b.status,
                malformed: a.malformed + b.malformed,
            },
            idle_lost: self.idle_lost + other.idle_lost,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Errors { connect, reset, cut_short, timed_out, status, malformed } =
            self.errors;
        let said: Vec<String> = [
            (connect, "not connected"),
            (reset, "reset"),
            (cut_short, "cut short"),
            (timed_out, "timed out"),
            (status, "refused"),
            (malformed, "malformed"),
            (self.idle_lost, "idle ones lost"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        f.write_str(if said.is_empty() { "none" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.2} µs of processor a request, {:>7.0} requests/s, errors: {}",
            self.cpu, self.requests_per_second, self.trouble
        )
    }
}
