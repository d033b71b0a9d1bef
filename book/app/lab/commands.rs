//! The command `lab`: runs experiments, stores their results, and shows the results.

use std::time::{Instant, SystemTime};

use anyhow::{Result, bail};
use clap::Args;
use figures::draw;
use manuscript::files::replace;
use serde::Serialize;

use super::experiment::Experiment;
use super::experiments::{EXPERIMENTS, find};
#[cfg(target_os = "linux")]
use super::experiments::{chaos, compare, hold};
use super::model::machine::Machine;
use super::model::parameter::Parameter;
use super::model::prediction::{Form, StoredPrediction, predictions, store};
use super::model::record::{Mode, Record, Results, StoredAs, VERSION};
use super::tools::progress::{Event, Progress};
use super::tools::run::Run;
use super::verdict::Verdict;
use super::{pages, report};
use crate::child;
use crate::paths::Paths;

/// The options of the command `lab` that apply to every experiment.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RunArgs {
    /// Measure as thoroughly as for the book's results, which takes minutes instead of seconds
    #[arg(long)]
    full: bool,
    /// Store the result as the one that the book shows, instead of in target/lab; implies --full
    #[arg(long)]
    pub record: bool,
    /// Print a line of JSON for each step, chart and table; end when standard input ends
    #[arg(long, conflicts_with = "record")]
    events: bool,
    /// Measure nothing; draw the book's charts and tables again, from its recorded results
    #[arg(long, conflicts_with_all = ["full", "record", "events"])]
    redraw: bool,
}

/// Runs the experiment `name`, or writes the report if `name` is `report`. Lists all experiments if
/// `name` is `None`.
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

/// Runs `lab hold` with its own options: the number of connections, and the server.
#[cfg(target_os = "linux")]
pub fn hold(paths: &Paths, options: &hold::Options, args: RunArgs) -> Result<()> {
    run(paths, &hold::EXPERIMENT, args, |run| hold::measure(run, options))
}

/// Runs `lab chaos` with its own option: the duration in minutes.
#[cfg(target_os = "linux")]
pub fn chaos(paths: &Paths, options: &chaos::Options, args: RunArgs) -> Result<()> {
    let args = RunArgs { full: args.full || options.is_long(), ..args };
    run(paths, &chaos::EXPERIMENT, args, |run| chaos::measure(run, options))
}

/// Runs the command `compare`, or lists the kinds of load with `--cells list`. `record` stores the
/// result as the one that the book shows.
#[cfg(target_os = "linux")]
pub fn compare(paths: &Paths, options: &compare::Options, record: bool) -> Result<()> {
    if options.lists_cells() {
        return Ok(());
    }
    let args = RunArgs { full: options.full(), record, ..RunArgs::default() };
    run(paths, &compare::EXPERIMENT, args, |run| compare::measure(run, options))
}

/// Runs an experiment with the function `measure`, stores the result, and shows it. With
/// `--events`, also reports an error as an event.
fn run(
    paths: &Paths,
    experiment: &'static Experiment,
    args: RunArgs,
    measure: impl FnOnce(&Run<'_>) -> Result<Results>,
) -> Result<()> {
    child::end_on_signals()?;
    let full = args.full || args.record;
    let progress = Progress::new(experiment.name, args.events, full);
    let (name, start) = (experiment.name, Instant::now());
    let run = Run { paths, name, full, record: args.record, progress, start };
    let stored = measure(&run).and_then(|results| finish(&run, experiment, results));
    stored.inspect_err(|error| {
        let why = format!("{error:#}").replace('\n', " ");
        run.progress.say(&Event::Failed { why: &why });
    })
}

/// Stores the results of a run as a record, and shows the record.
fn finish(
    run: &Run<'_>,
    experiment: &'static Experiment,
    results: Results,
) -> Result<()> {
    let Results { rows, parts, notes, stored_as } = results;
    let StoredAs { command, name, parameters } = stored_as.unwrap_or_else(|| {
        let full = if run.full { " --full" } else { "" };
        let command = format!("cargo run --release -- lab {}{full}", experiment.name);
        let values = |parameter: &&'static Parameter| {
            (parameter.name.to_owned(), run.list(parameter).to_vec())
        };
        let parameters = experiment.parameters.iter().map(values).collect();
        StoredAs { command, name: experiment.name, parameters }
    });
    let record = Record {
        version: VERSION,
        experiment: experiment.name.to_owned(),
        command,
        mode: Some(if run.full { Mode::Full } else { Mode::Quick }),
        when: Some(httpdate::fmt_http_date(SystemTime::now())),
        seconds: Some(run.start.elapsed().as_secs_f64().round()),
        parameters,
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
    for note in &record.notes {
        println!("note: {note}");
    }
    println!("stored in {}", path.display());
    if !run.record && name == experiment.name {
        print!("{}", verdict(run.paths, experiment)?.text(experiment.predict.ask));
    }
    Ok(())
}

/// The reader's own result of an experiment, in the forms that a page shows.
#[derive(Serialize)]
pub struct Shown {
    /// The record of the reader's last run.
    pub result: Record,
    /// Name and SVG of each chart, drawn over the book's recorded chart.
    pub charts: Vec<(String, String)>,
    /// Name and HTML of each table.
    pub tables: Vec<(String, String)>,
    /// The reader's prediction beside the result, in HTML.
    pub verdict: String,
}

/// Returns the reader's last result of the experiment, or `None` if the reader has not run it.
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

/// Stores the reader's prediction for an experiment.
///
/// # Errors
///
/// The prediction does not have the form that the experiment asks for, or cannot be stored.
pub fn predict(
    paths: &Paths,
    experiment: &Experiment,
    given: StoredPrediction,
) -> Result<()> {
    store(paths, experiment.name, &experiment.predict.form, given)
}

/// Compares the reader's prediction with the reader's last result. The prediction, the result, or
/// both may be missing.
pub fn verdict(paths: &Paths, experiment: &Experiment) -> Result<Verdict> {
    let record = Record::read(&paths.own(), experiment.name)?;
    // If the predictions cannot be read, the result is still shown, without a prediction.
    let given = predictions(paths).unwrap_or_default().remove(experiment.name);
    Ok(Verdict::of(experiment, given.as_ref(), record.as_ref()))
}

/// Returns the SVG of the axes into which the reader draws a predicted curve. `None` if the
/// experiment does not ask for a curve, or the book has no recorded chart of the experiment.
pub fn blank(paths: &Paths, experiment: &Experiment) -> Result<Option<String>> {
    let Form::Curve { chart, .. } = experiment.predict.form else { return Ok(None) };
    let book = Record::read(&paths.recorded(), experiment.name)?;
    let drawn = book.as_ref().and_then(|book| book.chart(chart));
    Ok(drawn.map(|drawn| draw::blank(drawn, chart)))
}
