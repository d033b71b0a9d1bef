//! The durations of the slow commands on the pages: measured by running the commands,
//! recorded in `durations.json`, and included by the pages from `generated/durations.md`.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use figures::text::time_in_words;
use manuscript::files::replace;
use serde::{Deserialize, Serialize};

use crate::child::ChildGuard;
use crate::lab::Machine;
use crate::paths::Paths;

/// A command whose duration the pages state.
struct Slow {
    /// The name by which pages include the command's duration.
    name: &'static str,
    /// The command whose duration is measured, as a reader types it.
    command: &'static str,
    /// Whether the command is timed with nothing built beforehand, neither the libraries nor the
    /// book's own code.
    from_scratch: bool,
    /// A command that is run beforehand, to build what `command` needs, and is not timed.
    before: &'static str,
}

const fn built(name: &'static str, before: &'static str, command: &'static str) -> Slow {
    Slow { name, command, from_scratch: false, before }
}

const fn first(name: &'static str, command: &'static str) -> Slow {
    Slow { name, command, from_scratch: true, before: "" }
}

const SLOW: [Slow; 9] = [
    first("first-book", "cargo run --release -- --no-serve"),
    first("first-suite", "cargo test -p ch01-blocking --no-run"),
    first("first-deep", "cargo build -p ch06-coroutines --example deep"),
    built(
        "suite-1",
        "cargo test -p ch01-blocking --no-run",
        "cargo test -p ch01-blocking --no-fail-fast",
    ),
    built(
        "suite-2",
        "cargo test -p ch02-threadpool --no-run",
        "cargo test -p ch02-threadpool --no-fail-fast",
    ),
    built(
        "suite-3",
        "cargo test -p ch03-nonblocking --no-run",
        "cargo test -p ch03-nonblocking --no-fail-fast",
    ),
    built(
        "suite-4",
        "cargo test -p ch04-select-poll --no-run",
        "cargo test -p ch04-select-poll --no-fail-fast",
    ),
    built(
        "suite-5",
        "cargo test -p ch05-epoll --no-run",
        "cargo test -p ch05-epoll --no-fail-fast",
    ),
    built(
        "suite-6",
        "cargo test -p ch06-coroutines --no-run",
        "cargo test -p ch06-coroutines --no-fail-fast",
    ),
];

/// The recorded duration of a slow command.
#[derive(Debug, Serialize, Deserialize)]
struct Duration {
    command: String,
    seconds: f64,
    machine: Machine,
}

/// The recorded durations, by the name under which pages include them.
type Durations = BTreeMap<String, Duration>;

fn file(paths: &Paths) -> PathBuf {
    paths.book().join("durations.json")
}

fn recorded(paths: &Paths) -> Result<Durations> {
    let path = file(paths);
    let Ok(text) = read_to_string(&path) else { return Ok(Durations::new()) };
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
}

/// Runs the slow commands with the names `names`, or all of them if `names` is empty, and records
/// the seconds that each command takes.
pub fn record(paths: &Paths, names: &[String]) -> Result<()> {
    for name in names {
        let known: Vec<&str> = SLOW.iter().map(|slow| slow.name).collect();
        ensure!(
            known.contains(&name.as_str()),
            "no command is called {name}; there are {}",
            known.join(", ")
        );
    }
    let mut all = recorded(paths)?;
    all.retain(|name, _| SLOW.iter().any(|slow| slow.name == name));
    for slow in SLOW
        .iter()
        .filter(|slow| names.is_empty() || names.iter().any(|n| n == slow.name))
    {
        let Slow { name, command, from_scratch, before } = *slow;
        let target = tempfile::tempdir().context("cannot create a target directory")?;
        let shell = |text: &str| {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", text]).current_dir(paths.checkout());
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if from_scratch {
                shell.env("CARGO_TARGET_DIR", target.path());
            }
            let mut child = ChildGuard::spawn(&mut shell)?;
            child.0.wait().context("cannot wait for the command")
        };
        ensure!(shell(before)?.success(), "{before}: it fails");
        let start = Instant::now();
        ensure!(shell(command)?.success(), "{command}: it fails");
        let seconds = start.elapsed().as_secs_f64();
        println!("{command}: {}", time_in_words(seconds));
        let machine = Machine::this(paths);
        all.insert(
            name.to_owned(),
            Duration { command: command.to_owned(), seconds, machine },
        );
        replace(&file(paths), &(serde_json::to_string_pretty(&all)? + "\n"))?;
    }
    Ok(())
}

/// Returns the text of `generated/durations.md`: the recorded durations in words, each between the
/// marks of an anchor with the command's name.
pub(crate) fn for_pages(paths: &Paths) -> Result<String> {
    let line = |(name, duration): (&String, &Duration)| {
        let time = time_in_words(duration.seconds);
        format!("<!-- ANCHOR: {name} -->\n{time}\n<!-- ANCHOR_END: {name} -->\n")
    };
    Ok(recorded(paths)?.iter().map(line).collect())
}
