//! The `load` command: options, progress on a terminal, and the report.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use load_generator::{Phase, Plan, report};

use crate::misbehave;

/// Measures how a server behaves under load.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// The URL to request, such as `http://127.0.0.1:8080/plaintext`.
    url: String,
    /// Number of connections that send requests.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests in flight per connection (pipelining).
    #[arg(long, default_value_t = 1, conflicts_with = "no_keep_alive")]
    depth: usize,
    /// Open a new connection for each request.
    #[arg(long)]
    no_keep_alive: bool,
    /// Number of additional connections that send one request at the start and then stay idle.
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Open loop: send this many requests per second over all connections, however fast the
    /// server responds. Latency is then measured from when a request should have been sent.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0)]
    time: f64,
    /// Seconds to send requests before measuring begins.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds without a response after which a client gives up the connection and opens another.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Load {
    /// Runs the load and prints the report.
    pub fn run(self) -> anyhow::Result<()> {
        let plan = self.plan()?;
        let progress = progress(&plan);
        let outcome = load_generator::run(&plan, &mut |phase| show(&progress, phase))
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
            bail!("https:// is not supported; use an http:// URL");
        }
        let seconds = |what: &str, number: f64| {
            Duration::try_from_secs_f64(number).with_context(|| {
                format!("{what} {number}: not a valid number of seconds")
            })
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
        ensure!(plan.connections > 0, "--connections must be at least 1");
        ensure!(plan.depth > 0, "--depth must be at least 1");
        ensure!(!plan.time.is_zero(), "--time must be more than 0");
        let fine = |rate: f64| rate > 0.0 && rate.is_finite();
        ensure!(plan.rate.is_none_or(fine), "--rate must be more than 0");
        Ok(plan)
    }
}

/// Returns a progress bar on standard error, which leaves standard output to the report. The bar is
/// hidden unless standard error is a terminal.
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
