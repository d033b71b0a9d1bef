//! `lab …`: runs experiments, stores what they measured, and shows it.

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use super::draw;
use super::experiment::Experiment;
use super::experiments::{EXPERIMENTS, find};
#[cfg(target_os = "linux")]
use super::experiments::{chaos, compare, hold};
use super::model::machine::Machine;
use super::model::prediction::{Form, StoredPrediction, predictions, store};
use super::model::record::{Mode, Record, Results, VERSION};
use super::tools::progress::{Event, Progress};
use super::tools::run::Run;
use super::verdict::Verdict;
use super::{pages, report};
use crate::child;
use crate::files::replace;
use crate::paths::Paths;

/// How an experiment is run.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RunArgs {
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

/// Runs an experiment by its name, or lists them all.
pub fn command(paths: &Paths, name: Option<&str>, args: RunArgs) -> Result<()> {
    if args.redraw {
        let records = pages::records(paths)?;
        return records.values().try_for_each(|record| pages::write(paths, record));
    }
    let Some(name) = name else {
        for experiment in EXPERIMENTS {
            println!("{:<12} {}", experiment.name, experiment.question);
        }
        return Ok(());
    };
    if name == "report" {
        return report::write(paths);
    }
    let Some(experiment) = find(name) else {
        bail!("no experiment is called {name}; `cargo run --release -- lab` lists them")
    };
    run(paths, experiment, args, experiment.run)
}

/// `lab hold` with options of its own.
#[cfg(target_os = "linux")]
pub fn hold(paths: &Paths, options: &hold::Options, args: RunArgs) -> Result<()> {
    run(paths, &hold::EXPERIMENT, args, |run| hold::measure(run, options))
}

/// `lab chaos` with an option of its own.
#[cfg(target_os = "linux")]
pub fn chaos(paths: &Paths, options: &chaos::Options, args: RunArgs) -> Result<()> {
    run(paths, &chaos::EXPERIMENT, args, |run| chaos::measure(run, options))
}

/// `compare`.
#[cfg(target_os = "linux")]
pub fn compare(paths: &Paths, options: &compare::Options, record: bool) -> Result<()> {
    if options.lists_cells() {
        return Ok(());
    }
    let args = RunArgs { record, ..RunArgs::default() };
    run(paths, &compare::EXPERIMENT, args, |run| compare::measure(run, options))
}

/// Runs an experiment, or this function instead of its own.
fn run(
    paths: &Paths,
    experiment: &'static Experiment,
    args: RunArgs,
    measure: impl FnOnce(&Run<'_>) -> Result<Results>,
) -> Result<()> {
    child::end_on_signals()?;
    let full = args.full || args.record;
    let progress = Progress::new(experiment.name, args.events, full);
    let run = Run { paths, name: experiment.name, full, record: args.record, progress };
    let stored = measure(&run).and_then(|results| finish(&run, experiment, results));
    stored.inspect_err(|error| {
        let why = format!("{error:#}").replace('\n', " ");
        run.progress.say(&Event::Failed { why: &why });
    })
}

/// Stores what was measured, and shows it.
fn finish(
    run: &Run<'_>,
    experiment: &'static Experiment,
    results: Results,
) -> Result<()> {
    let Results { rows, parts, notes, stored_as } = results;
    let (command, name) = stored_as.unwrap_or_else(|| {
        let full = if run.full { " --full" } else { "" };
        let command = format!("cargo run --release -- lab {}{full}", experiment.name);
        (command, experiment.name)
    });
    let parameters = experiment.parameters.iter();
    let record = Record {
        version: VERSION,
        experiment: experiment.name.to_owned(),
        command,
        mode: Some(if run.full { Mode::Full } else { Mode::Quick }),
        when: Some(httpdate::fmt_http_date(SystemTime::now())),
        parameters: parameters
            .map(|parameter| (parameter.name.to_owned(), run.list(parameter).to_vec()))
            .collect(),
        machine: Machine::this(run.paths),
        notes,
        rows,
        parts,
    };
    let directory = if run.record { run.paths.recorded() } else { run.paths.own() };
    let path = directory.join(format!("{name}.json"));
    replace(&path, &(serde_json::to_string_pretty(&record)? + "\n"))?;
    if run.record {
        pages::write(run.paths, &record)?;
    }
    run.show(&record.parts);
    if run.progress.events {
        run.progress.say(&Event::Done { result: &record });
        return Ok(());
    }
    println!("kept in {}", path.display());
    if !run.record && name == experiment.name {
        print!("{}", verdict(run.paths, experiment)?.text(experiment.predict.ask));
    }
    Ok(())
}

/// Takes one sample of an experiment, for which it starts this program again, and prints it.
pub fn measure(experiment: &str, what: &str, count: usize) -> Result<()> {
    let sample = find(experiment).and_then(|experiment| experiment.sample);
    let sample = sample
        .with_context(|| format!("the experiment {experiment} takes no samples"))?;
    println!("{}", sample(what, count)?);
    Ok(())
}

/// The reader's own result, as a page shows it again.
#[derive(Serialize)]
pub struct Shown {
    /// The record.
    pub result: Record,
    /// The charts, over the recorded ones: names, and SVG.
    pub charts: Vec<(String, String)>,
    /// The tables: names, and HTML.
    pub tables: Vec<(String, String)>,
    /// The result beside the prediction, in HTML.
    pub verdict: String,
}

/// Returns the reader's last measurement, if there is one.
pub fn shown(paths: &Paths, experiment: &Experiment) -> Result<Option<Shown>> {
    let Some(result) = Record::read(&paths.own(), experiment.name)? else {
        return Ok(None);
    };
    let book = Record::read(&paths.recorded(), experiment.name)?;
    let parts = || result.parts.iter();
    let charts = parts()
        .filter_map(|part| Some((part.name.clone(), pages::chart(part, book.as_ref())?)))
        .collect();
    let tables = parts().map(|part| (part.name.clone(), pages::table(part))).collect();
    let verdict = verdict(paths, experiment)?.html();
    Ok(Some(Shown { charts, tables, result, verdict }))
}

/// Stores a prediction, if it is of the form that was asked for.
pub fn predict(
    paths: &Paths,
    experiment: &Experiment,
    given: StoredPrediction,
) -> Result<()> {
    store(paths, experiment.name, &experiment.predict.form, given)
}

/// Returns what the reader predicted beside what the reader measured last.
pub fn verdict(paths: &Paths, experiment: &Experiment) -> Result<Verdict> {
    let record = Record::read(&paths.own(), experiment.name)?;
    // Predictions that cannot be read are no reason to show nothing.
    let given = predictions(paths).unwrap_or_default().remove(experiment.name);
    Ok(Verdict::of(experiment, given.as_ref(), record.as_ref()))
}

/// Returns the axes on which a curve is predicted, without its lines; if that is the form,
/// and the book has such a chart.
pub fn blank(paths: &Paths, experiment: &Experiment) -> Result<Option<String>> {
    let Form::Curve { chart, .. } = experiment.predict.form else { return Ok(None) };
    let book = Record::read(&paths.recorded(), experiment.name)?;
    let drawn = book.as_ref().and_then(|book| book.chart(chart));
    Ok(drawn.map(|drawn| draw::blank(drawn, chart)))
}
