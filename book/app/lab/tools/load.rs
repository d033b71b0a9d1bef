//! Load from the suite's load generator, and the processor time that the load costs the server.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use figures::summary::Summary;
use figures::text::thousands;
use load_generator::{self as load, Errors, Outcome, Phase, Plan};
use serde::Serialize;

use super::server::Server;
use samples::proc::{family_cpu, ticks};

/// The figures of one round of load on a server. Times are in microseconds.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    /// Processor time per request, of all processes of the server. NaN if no request was answered.
    pub(crate) cpu: f64,
    /// Processor time of the server in clock ticks, first outside the kernel, then inside.
    ticks: [u64; 2],
    /// Latency of the successful requests: the median, and the values that 1 in 100 and 1 in 1,000
    /// exceed. A latency is the time from sending the request (or from connecting, if every request
    /// has its own connection) to the last byte of the answer.
    latency: [f64; 3],
    /// The fraction of the round in which the load generator's thread was running on a processor.
    client_busy: f64,
    pub(crate) failures: Failures,
}

/// The figures of all rounds of one server under one load. Times are in microseconds.
#[derive(Serialize)]
pub(crate) struct Load {
    pub(crate) requests_per_second: Summary,
    /// Processor time per request. `None` if no request was answered.
    pub(crate) cpu: Option<Summary>,
    /// Processor time per request outside the kernel: the median of `cpu`, multiplied by the
    /// fraction of the server's clock ticks that were outside the kernel. The fraction is that of
    /// all rounds together, since a single round has too few ticks. `None` if no request was
    /// answered.
    pub(crate) user: Option<f64>,
    /// Processor time per request in the kernel: the median of `cpu` minus `user`. `None` if no
    /// request was answered.
    pub(crate) system: Option<f64>,
    pub(crate) p50: Summary,
    pub(crate) p99: Summary,
    pub(crate) p999: Summary,
    /// The fraction of each round in which the load generator's thread was running on a processor.
    pub(crate) client_busy: Summary,
    #[serde(flatten)]
    pub(crate) failures: Failures,
}

/// The numbers of failed requests and connections in one or more rounds, by kind of failure.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Failures {
    #[serde(flatten)]
    errors: Errors,
    /// Requests that were due while no client was free to send them.
    unsent: u64,
    /// Idle connections that the server has closed.
    idle_lost: u64,
}

impl Round {
    /// Applies the load described by `plan` to a running server for one round, and returns the
    /// figures of this round.
    pub(crate) fn measure(server: &Server, plan: &Plan) -> Result<Round> {
        // Returns the server's processor time so far, and its ticks outside and inside the kernel.
        let account = || -> Result<(Duration, [u64; 2])> {
            let [user, system, ..] = ticks(server.id())?;
            Ok((family_cpu(server.id())?, [user, system]))
        };
        let (mut before, mut after) = (None, None);
        let outcome = load::run(plan, &mut |phase| match phase {
            Phase::Measuring { .. } if before.is_none() => before = Some(account()),
            Phase::Finished => after = Some(account()),
            _ => {}
        })?;
        let before = before.context("nothing was measured")??;
        let after = after.context("the measurement did not finish")??;
        let Outcome { requests, errors, unsent, ref latency, .. } = outcome;
        let idle_lost = plan.idle.saturating_sub(outcome.idle) as u64;
        let used = after.0.saturating_sub(before.0);
        let quantile = |q| latency.value_at_quantile(q) as f64 / 1e3;
        Ok(Round {
            requests_per_second: requests as f64 / outcome.elapsed.as_secs_f64(),
            cpu: match requests {
                0 => f64::NAN,
                requests => used.as_secs_f64() * 1e6 / requests as f64,
            },
            ticks: [0, 1].map(|at| after.1[at] - before.1[at]),
            latency: [0.5, 0.99, 0.999].map(quantile),
            client_busy: outcome.client_busy,
            failures: Failures { errors, unsent, idle_lost },
        })
    }
}

impl Load {
    /// Summarizes the rounds of one server under one load.
    pub(crate) fn of(rounds: &[Round]) -> Load {
        let summary = |of: fn(&Round) -> f64| Summary::over(rounds, of);
        let cpu =
            Summary::of(rounds.iter().map(|round| round.cpu).filter(|cpu| !cpu.is_nan()));
        let cpu = (cpu.repeats > 0).then_some(cpu);
        let ticks =
            |at: usize| rounds.iter().map(|round| round.ticks[at]).sum::<u64>() as f64;
        let user = cpu.map(|cpu| cpu.median * ticks(0) / (ticks(0) + ticks(1)).max(1.0));
        let mut failures = Failures::default();
        for Round { failures: more, .. } in rounds {
            failures.errors += more.errors;
            failures.unsent += more.unsent;
            failures.idle_lost += more.idle_lost;
        }
        Load {
            requests_per_second: summary(|round| round.requests_per_second),
            cpu,
            user,
            system: cpu.zip(user).map(|(cpu, user)| cpu.median - user),
            p50: summary(|round| round.latency[0]),
            p99: summary(|round| round.latency[1]),
            p999: summary(|round| round.latency[2]),
            client_busy: summary(|round| round.client_busy),
            failures,
        }
    }
}

impl Failures {
    /// Returns whether all requests succeeded and no idle connection was closed.
    pub(crate) fn are_none(&self) -> bool {
        self.errors.total() + self.unsent + self.idle_lost == 0
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failures { errors, unsent, idle_lost } = self;
        let kinds = [
            // A client that is not accepted either times out in the backlog or fails to connect;
            // the table shows the sum of the two kinds.
            (errors.timed_out + errors.connect, "not served"),
            (errors.status, "refused"),
            (errors.reset, "reset"),
            (errors.cut_short, "cut short"),
            (errors.malformed, "malformed"),
            (*unsent, "not sent"),
            (*idle_lost, "idle ones lost"),
        ];
        let some = kinds.iter().filter(|(count, _)| *count > 0);
        let some: Vec<_> = some
            .map(|(count, what)| format!("{} {what}", thousands(*count as usize)))
            .collect();
        f.write_str(if some.is_empty() { "none" } else { "" })?;
        f.write_str(&some.join(", "))
    }
}
