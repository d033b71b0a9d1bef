//! The command: options to a plan, progress on a terminal, and the report.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use super::plan::{Phase, Plan};
use super::report;
use crate::misbehave;

/// Puts load on a server, and tells how it bears it.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// What is asked for, as in `http://127.0.0.1:8080/plaintext`.
    url: String,
    /// So many clients ask at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Each has so many requests under way (pipelining).
    #[arg(long, default_value_t = 1, conflicts_with = "no_keep_alive")]
    depth: usize,
    /// A connection for each request.
    #[arg(long)]
    no_keep_alive: bool,
    /// So many more clients ask once, hold their connections, and say nothing.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// So many requests a second, over all connections, whatever the answers do. Latency
    /// then counts from when a request should have been sent.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10.0)]
    time: f64,
    /// Seconds of the same before.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds without an answer, after which a client tries another connection.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// The report as JSON.
    #[arg(long)]
    json: bool,
}

impl Load {
    /// Does it, and prints the report.
    pub fn run(self) -> anyhow::Result<()> {
        let plan = self.plan()?;
        let progress = progress(&plan);
        let outcome = super::run(&plan, &mut |phase| show(&progress, phase))
            .with_context(|| format!("cannot put load on {}", plan.address))?;
        progress.finish_and_clear();
        if self.json {
            println!("{}", report::json(&plan, &outcome)?);
        } else {
            print!("{}", report::text(&plan, &outcome));
        }
        Ok(())
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        if self.url.starts_with("https://") {
            bail!("there is no TLS here; try an http:// URL");
        }
        let seconds = |what: &str, number: f64| {
            Duration::try_from_secs_f64(number)
                .with_context(|| format!("{what} {number} is no time"))
        };
        let (address, path) = misbehave::parse(&self.url)?;
        let authority = self.url.strip_prefix("http://").unwrap_or(&self.url);
        let host = authority.split('/').next().unwrap_or_default().to_owned();
        let plan = Plan {
            host,
            connections: self.connections,
            depth: self.depth,
            keep_alive: !self.no_keep_alive,
            idle: self.idle,
            rate: self.rate,
            timeout: seconds("--timeout", self.timeout)?,
            warm_up: seconds("--warm-up", self.warm_up)?,
            time: seconds("--time", self.time)?,
            ..Plan::new(address, &path)
        };
        ensure!(plan.connections > 0, "--connections 0: somebody must ask");
        ensure!(plan.depth > 0, "--depth 0: nothing would be asked");
        ensure!(!plan.time.is_zero(), "--time 0: nothing would be measured");
        let fine = |rate: f64| rate > 0.0 && rate.is_finite();
        ensure!(plan.rate.is_none_or(fine), "--rate must be more than 0");
        Ok(plan)
    }
}

/// Drawn on a terminal only. JSON may be on its way to a file, this goes to standard error.
fn progress(plan: &Plan) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(plan.time.as_millis() as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(progress: &ProgressBar, phase: &Phase) {
    match phase {
        Phase::Opening { open } => progress.set_message(format!("connecting: {open}")),
        Phase::WarmUp => progress.set_message("warming up"),
        Phase::Measuring { done } => {
            progress.set_message("measuring");
            progress.set_position(done.as_millis() as u64);
        }
        Phase::Finished => {}
    }
}
