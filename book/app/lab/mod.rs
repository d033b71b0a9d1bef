//! The lab: every measured figure of the book, made again by one command.
//!
//! An experiment measures, and keeps JSON with the machine's facts, a table and a chart in
//! `target/lab/`. With `--record` they go to `book/results/` and `book/src/generated/`, from
//! where the pages include them: so no measured number is ever typed.

mod chart;
#[cfg(target_os = "linux")]
mod herd;
mod machine;
mod spawn;
mod spread;
mod stuck;

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::house::House;

/// Something that can be measured.
struct Experiment {
    name: &'static str,
    question: &'static str,
    run: fn(&Lab<'_>) -> Result<()>,
}

const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "spawn",
        question: "What does it cost to make a process or a thread, and to keep it while it sleeps?",
        run: spawn::run,
    },
    Experiment {
        name: "stuck",
        question: "How many silent clients does a server bear, and what does the next one wait?",
        run: stuck::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "herd",
        question: "How often are several loops woken for one client, and who gets it?",
        run: herd::run,
    },
];

/// Where results go.
struct Lab<'a> {
    house: &'a House,
    /// Into the book's sources, and not only into target/lab.
    record: bool,
}

/// Runs an experiment by its name, or lists them all.
pub fn command(house: &House, name: Option<&str>, record: bool) -> Result<()> {
    let Some(name) = name else {
        for experiment in EXPERIMENTS {
            println!("{:<12} {}", experiment.name, experiment.question);
        }
        return Ok(());
    };
    match EXPERIMENTS.iter().find(|experiment| experiment.name == name) {
        Some(experiment) => (experiment.run)(&Lab { house, record }),
        None => bail!(
            "no experiment is called {name}; `cargo run --release -- lab` lists them"
        ),
    }
}

/// One measurement in a process of its own: what an experiment starts this
/// program again for, so that nothing else in the process is measured too.
pub fn measure(what: &str, count: usize) -> Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(what) = what.strip_prefix("herd-") {
        println!("{}", serde_json::to_string(&herd::measure(what, count)?)?);
        return Ok(());
    }
    let sample = spawn::measure(what, count)?;
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

/// A recorded result.
#[derive(Serialize)]
struct Record<'a, R> {
    experiment: &'a str,
    command: String,
    machine: machine::Machine,
    rows: &'a [R],
}

/// Keeps a result: the JSON, and the table and chart that the pages show of it.
fn keep<R: Serialize>(
    lab: &Lab<'_>,
    name: &str,
    rows: &[R],
    table: &str,
    chart: &str,
) -> Result<()> {
    let machine = machine::Machine::this(lab.house);
    let command = format!("cargo run --release -- lab {name}");
    let page = format!(
        "{table}\n<figure>\n{{{{#include {name}.svg}}}}\n\
         <figcaption>Both axes are logarithmic.</figcaption>\n</figure>\n\n\
         *Recorded with `{command}`, medians of several repeats, on {machine}. \
         The same command measures yours.*\n"
    );
    let record = Record { experiment: name, command, machine, rows };
    let (results, generated) = if lab.record {
        (lab.house.book().join("results"), lab.house.src().join("generated"))
    } else {
        let own = lab.house.checkout().join("target/lab");
        (own.clone(), own)
    };
    for directory in [&generated, &results] {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let json = serde_json::to_string_pretty(&record)? + "\n";
    for (path, text) in [
        (results.join(format!("{name}.json")), json.as_str()),
        (generated.join(format!("{name}.md")), &page),
        (generated.join(format!("{name}.svg")), chart),
    ] {
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{table}");
    println!("\nkept in {}", results.join(format!("{name}.json")).display());
    Ok(())
}
