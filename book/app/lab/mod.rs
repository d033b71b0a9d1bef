//! The lab: every measured figure of the book, made again by one command.
//!
//! An experiment measures, and keeps JSON with the machine's facts, a table and a chart in
//! `target/lab/`. With `--record` they go to `book/results/` and `book/src/generated/`, from
//! where the pages include them: so no measured number is ever typed.

mod chaos;
mod chart;
#[cfg(target_os = "linux")]
mod closing;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod concurrency;
#[cfg(target_os = "linux")]
mod family;
#[cfg(target_os = "linux")]
mod herd;
#[cfg(target_os = "linux")]
mod hold;
mod idle;
mod machine;
mod memory;
mod readiness;
mod request;
mod rounds;
mod running;
mod sample;
mod spawn;
mod spread;
mod stuck;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod switch;
mod waiting;

use std::fs;
use std::path::Path;

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
    Experiment {
        name: "readiness",
        question: "What does it cost to find out who is ready, of so many?",
        run: readiness::run,
    },
    Experiment {
        name: "memory",
        question: "What does a server own for each client that says nothing?",
        run: memory::run,
    },
    Experiment {
        name: "waiting",
        question: "What does a client cost its server, by what the two wait for: thread, epoll, coroutine, async",
        run: waiting::run,
    },
    Experiment {
        name: "request",
        question: "What does a request cost outside of the kernel?",
        run: request::run,
    },
    Experiment {
        name: "idle",
        question: "What do idle clients cost a fresh one, and the processor: spin and sigio",
        run: idle::run,
    },
    Experiment {
        name: "chaos",
        question: "Everything that clients can do, at once: what does one that means well notice?",
        run: chaos::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "concurrency",
        question: "All servers, from one client to ten thousand: who still answers, and at what cost?",
        run: concurrency::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "herd",
        question: "How often are several loops woken for one client, and who gets it?",
        run: herd::run,
    },
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    Experiment {
        name: "switch",
        question: "What does it cost to go to another stack and back, and to have so many?",
        run: switch::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "closing",
        question: "One of several loops goes: which of the clients that wait does it take along?",
        run: closing::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "hold",
        question: "How many clients can this machine hold, and what does it pay for each? (`--connections N`)",
        run: hold::run,
    },
    #[cfg(target_os = "linux")]
    Experiment {
        name: "compare",
        question: "What does a request cost, here and in the servers that people run? (`compare` has options)",
        run: compare::run,
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
    running::end_with_us()?;
    match EXPERIMENTS.iter().find(|experiment| experiment.name == name) {
        Some(experiment) => (experiment.run)(&Lab { house, record }),
        None => bail!(
            "no experiment is called {name}; `cargo run --release -- lab` lists them"
        ),
    }
}

#[cfg(target_os = "linux")]
pub use compare::Options as CompareOptions;

/// The experiment that can be told whom to measure, and in what.
#[cfg(target_os = "linux")]
pub fn compare(house: &House, options: &CompareOptions, record: bool) -> Result<()> {
    running::end_with_us()?;
    compare::compare(&Lab { house, record }, options)
}

#[cfg(target_os = "linux")]
pub use hold::Options as HoldOptions;

/// The experiment that can be told how many.
#[cfg(target_os = "linux")]
pub fn hold(house: &House, options: &HoldOptions, record: bool) -> Result<()> {
    running::end_with_us()?;
    hold::hold(&Lab { house, record }, options)
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

/// A recorded result.
#[derive(Serialize)]
struct Record<'a, R> {
    experiment: &'a str,
    command: &'a str,
    machine: machine::Machine,
    rows: &'a [R],
}

/// What the pages show of a result: a table, and perhaps a chart.
struct Part {
    /// Of the file that a page includes.
    name: &'static str,
    table: String,
    chart: Option<String>,
    /// Measured once; else its figures are medians of several repeats.
    once: bool,
}

/// Keeps a result of one table, perhaps with a chart.
fn keep<R: Serialize>(
    lab: &Lab<'_>,
    name: &'static str,
    rows: &[R],
    table: &str,
    chart: Option<&str>,
) -> Result<()> {
    let part = Part {
        name,
        table: table.to_owned(),
        chart: chart.map(str::to_owned),
        once: chart.is_none(),
    };
    keep_parts(lab, name, rows, &[part])
}

/// Keeps a result: the JSON, and the tables and charts that the pages show of it.
fn keep_parts<R: Serialize>(
    lab: &Lab<'_>,
    name: &str,
    rows: &[R],
    parts: &[Part],
) -> Result<()> {
    keep_as(lab, &format!("cargo run --release -- lab {name}"), name, rows, parts)
}

/// The same, made by this command.
fn keep_as<R: Serialize>(
    lab: &Lab<'_>,
    command: &str,
    name: &str,
    rows: &[R],
    parts: &[Part],
) -> Result<()> {
    let machine = machine::Machine::this(lab.house);
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
    let write = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for Part { name, table, chart, once } in parts {
        let mut page = format!("{table}\n");
        if let Some(chart) = chart {
            page += &format!(
                "<figure>\n{{{{#include {name}.svg}}}}\n\
                 <figcaption>Both axes are logarithmic.</figcaption>\n</figure>\n\n"
            );
            write(&generated.join(format!("{name}.svg")), chart)?;
        }
        let how = if *once { "" } else { ", medians of several repeats" };
        page += &format!(
            "*Recorded with `{command}`{how}, on {machine}. The same command measures yours.*\n"
        );
        write(&generated.join(format!("{name}.md")), &page)?;
        println!("{table}");
    }
    let record = Record { experiment: name, command, machine, rows };
    let kept = results.join(format!("{name}.json"));
    write(&kept, &(serde_json::to_string_pretty(&record)? + "\n"))?;
    println!("kept in {}", kept.display());
    Ok(())
}
