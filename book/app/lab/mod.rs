//! The lab: every measured figure of the book, made again by one command.
//!
//! ```text
//! experiment   what one is: a question, a prediction, how much is measured   registry  all of them
//!     run ── events (how far it is) ── record (what came of it) ── chart, report (how it looks)
//! ```
//!
//! A result is JSON with the machine's facts, in `target/lab/`. With `--record` it is in
//! `book/results/`, and what the pages show of it in `book/src/generated/`, from where they
//! include it: so no measured number is ever typed.

mod chaos;
mod chart;
pub(crate) mod child;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod closing;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod concurrency;
mod events;
mod experiment;
#[cfg(target_os = "linux")]
mod family;
#[cfg(target_os = "linux")]
mod herd;
#[cfg(target_os = "linux")]
mod hold;
mod idle;
mod machine;
mod memory;
mod prediction;
mod readiness;
mod record;
mod registry;
mod report;
mod request;
mod rounds;
mod running;
mod sample;
pub(crate) mod sizes;
mod slow_client;
mod spawn;
pub(crate) mod spread;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod switch;
#[cfg(target_os = "linux")]
mod syscalls;
mod verdict;
mod waiting;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use self::events::Progress;
use crate::house::House;

pub use self::experiment::{Experiment, Kind, Parameter, Yield};
pub use self::prediction::{Answer, Form, Given, Predict, predict, predictions};
pub use self::record::{Mode, Part, Record, drawn, own, recorded};
pub use self::registry::{EXPERIMENTS, find};
pub use self::verdict::Verdict;
#[cfg(target_os = "linux")]
pub use self::{compare::Options as CompareOptions, hold::Options as HoldOptions};

/// How an experiment is run.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct How {
    /// Measure as much as the book shows: minutes instead of seconds
    #[arg(long)]
    full: bool,
    /// Make this the result that the book shows, instead of keeping it in target/lab; in full
    #[arg(long)]
    pub record: bool,
    /// Print JSON, a line for each step, chart and table, and end with standard input
    #[arg(long, conflicts_with = "record")]
    events: bool,
    /// Measure nothing: draw what the book shows again, from its recorded results
    #[arg(long, conflicts_with_all = ["full", "record", "events"])]
    redraw: bool,
}

/// A run of an experiment.
struct Lab<'a> {
    house: &'a House,
    experiment: &'static Experiment,
    /// As much is measured as the book shows.
    full: bool,
    /// The result goes into the book, and not into target/lab.
    record: bool,
    progress: Progress,
}

impl Lab<'_> {
    /// How much of this there is in this run.
    fn list(&self, parameter: &'static Parameter) -> &'static [usize] {
        if self.full { parameter.full } else { parameter.quick }
    }

    /// The same where it is one number.
    fn one(&self, parameter: &'static Parameter) -> usize {
        self.list(parameter).first().copied().unwrap_or(1)
    }

    /// There will be so many steps.
    fn begin(&self, steps: usize) {
        self.progress.begin(steps);
    }

    /// The next step begins. Nothing is measured at this moment.
    fn step(&self, what: &str) {
        self.progress.step(what);
    }

    /// Shows what there is yet, if somebody watches. Nothing is measured at this moment.
    fn partial(&self, parts: impl FnOnce() -> Vec<Part>) {
        if self.progress.events() {
            self.show(&parts(), false);
        }
    }

    /// The charts, over what the book has recorded, and the tables.
    fn show(&self, parts: &[Part], tables: bool) {
        if !self.progress.events() {
            parts.iter().filter(|_| tables).for_each(|part| println!("{}", part.table));
            return;
        }
        let recorded = Record::read(&recorded(self.house), self.experiment.name);
        let recorded = recorded.unwrap_or_default();
        for part in parts {
            let over = recorded.as_ref().and_then(|other| other.part(&part.name));
            if let Some(chart) = &part.chart {
                let over = over.and_then(|part| part.chart.as_ref());
                self.progress.chart(&part.name, &chart.svg(&part.name, over));
            }
            if tables {
                self.progress.table(&part.name, &part.html());
            }
        }
    }
}

/// Runs an experiment by its name, or lists them all.
pub fn command(house: &House, name: Option<&str>, how: How) -> Result<()> {
    if how.redraw {
        return record::redraw(house);
    }
    let Some(name) = name else {
        for experiment in EXPERIMENTS {
            println!("{:<12} {}", experiment.name, experiment.question);
        }
        return Ok(());
    };
    if name == "report" {
        return report::command(house);
    }
    let Some(experiment) = find(name) else {
        bail!("no experiment is called {name}; `cargo run --release -- lab` lists them")
    };
    started(house, experiment, how, experiment.run)
}

/// Runs an experiment, or what it was told to do.
fn started(
    house: &House,
    experiment: &'static Experiment,
    how: How,
    run: impl FnOnce(&Lab<'_>) -> Result<()>,
) -> Result<()> {
    child::end_on_signals()?;
    let full = how.full || how.record;
    let progress = match how.events {
        true => Progress::as_events(experiment.name, full),
        false => Progress::at_terminal(experiment.name),
    };
    let lab = Lab { house, experiment, full, record: how.record, progress };
    run(&lab).inspect_err(|error| lab.progress.failed(&format!("{error:#}")))
}

/// The experiment that can be told whom to measure, and in what.
#[cfg(target_os = "linux")]
pub fn compare(house: &House, options: &CompareOptions, record: bool) -> Result<()> {
    let how = How { record, ..How::default() };
    started(house, &compare::EXPERIMENT, how, |lab| compare::compare(lab, options))
}

/// One's own result, as a page shows it again.
#[derive(Serialize)]
pub struct Shown {
    /// The record.
    pub result: Record,
    /// The charts, over the recorded ones: names, and SVG.
    pub charts: Vec<(String, String)>,
    /// The tables: names, and HTML.
    pub tables: Vec<(String, String)>,
    /// What it says to what was predicted, in HTML.
    pub verdict: String,
}

/// What the reader has measured last, if anything.
pub fn shown(house: &House, experiment: &Experiment) -> Result<Option<Shown>> {
    let Some(result) = Record::read(&own(house), experiment.name)? else {
        return Ok(None);
    };
    let book = Record::read(&recorded(house), experiment.name)?;
    let drawn =
        |part: &Part| Some((part.name.clone(), result.drawn(part, book.as_ref())?));
    let charts = result.parts.iter().filter_map(drawn).collect();
    let tables =
        result.parts.iter().map(|part| (part.name.clone(), part.html())).collect();
    let verdict = verdict(house, experiment)?.html();
    Ok(Some(Shown { charts, tables, result, verdict }))
}

/// What the reader has predicted, beside what the reader has measured last.
pub fn verdict(house: &House, experiment: &Experiment) -> Result<Verdict> {
    let record = Record::read(&own(house), experiment.name)?;
    // A file that somebody has spoilt is no reason to show nothing.
    let given = predictions(house).unwrap_or_default().remove(experiment.name);
    Ok(Verdict::of(experiment, given.as_ref(), record.as_ref()))
}

/// The axes on which a curve is predicted, without its lines; if that is the form, and the
/// book has such a chart.
pub fn blank(house: &House, experiment: &Experiment) -> Result<Option<String>> {
    let Form::Curve { chart: name, .. } = experiment.predict.form else {
        return Ok(None);
    };
    let book = Record::read(&recorded(house), experiment.name)?;
    let chart = book.as_ref().and_then(|book| book.part(name)?.chart.as_ref());
    Ok(chart.map(|chart| chart.blank(name)))
}

#[cfg(target_os = "linux")]
/// The experiment that can be told how many.
#[cfg(target_os = "linux")]
pub fn hold(house: &House, options: &HoldOptions, how: How) -> Result<()> {
    started(house, &hold::EXPERIMENT, how, |lab| hold::hold(lab, options))
}

/// One sample of an experiment: what it starts this program again for.
pub fn measure(experiment: &str, what: &str, count: usize) -> Result<()> {
    let sample = match experiment {
        "spawn" => serde_json::to_string(&spawn::measure(what, count)?)?,
        "readiness" => serde_json::to_string(&rounds::measure(what, count)?)?,
        "request" => serde_json::to_string(&request::measure(what, count)?)?,
        #[cfg(target_os = "linux")]
        "herd" => serde_json::to_string(&herd::measure(what, count)?)?,
        #[cfg(target_os = "linux")]
        "hold" => serde_json::to_string(&hold::measure(what, count)?)?,
        #[cfg(all(
            target_os = "linux",
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        "switch" => serde_json::to_string(&switch::measure(what, count)?)?,
        _ => bail!("the experiment {experiment} takes no samples by itself"),
    };
    println!("{sample}");
    Ok(())
}
