//! A run that measures nothing, for tests of what surrounds one.

use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::files::replace;
use crate::lab;
use crate::paths::Paths;

/// Plays a run of this experiment: `whole`, in steps that can be watched; `stuck`, in the
/// middle of one; `stubborn`, stuck and ignoring signals; `failing`; `dying`, without a word.
pub fn play(paths: &Paths, experiment: &str, how: &str) -> Result<()> {
    let Some(experiment) = lab::find(experiment) else {
        bail!("no experiment is called {experiment}")
    };
    if how == "stubborn" {
        // It ignores SIGTERM, and the end of its input.
        ctrlc::set_handler(|| ())?;
    } else {
        thread::spawn(|| {
            while !matches!(io::stdin().read(&mut [0; 64]), Ok(0) | Err(_)) {}
            std::process::exit(130);
        });
    }
    let name = experiment.name;
    say(&json!({"event": "begin", "experiment": name, "steps": 4, "limit_seconds": 60}))?;
    for step in 0..4 {
        say(
            &json!({"event": "step", "done": step, "of": 4, "what": format!("step {step}")}),
        )?;
        thread::sleep(Duration::from_millis(150));
        match (how, step) {
            ("stuck" | "stubborn", 2) => loop {
                thread::park();
            },
            ("failing", 2) => {
                say(&json!({"event": "failed", "why": "this was to fail"}))?;
                return Ok(());
            }
            ("dying", 2) => std::process::exit(1),
            _ => {}
        }
        for part in experiment.parts.iter().filter(|part| part.chart.is_some()) {
            say(&json!({"event": "chart", "name": part.name, "svg": drawing(step)}))?;
        }
    }
    for part in experiment.parts {
        let html = "<table><tr><td>rehearsed</td></tr></table>";
        say(&json!({"event": "table", "name": part.name, "html": html}))?;
    }
    // The result is the one that the book has recorded: something to store, and to see again.
    let result = lab::Record::read(&paths.recorded(), name)?;
    let stored = paths.own().join(format!("{name}.json"));
    replace(&stored, &serde_json::to_string(&result)?)?;
    say(&json!({"event": "done", "result": result}))?;
    Ok(())
}

fn say(event: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{event}")?;
    out.flush()
}

/// A chart that grows by a line with each step.
fn drawing(step: usize) -> String {
    let lines: String = (0..=step)
        .map(|n| format!("<path class=\"series-{}\" d=\"M40 {0}H680\"/>", n + 1))
        .collect();
    ["wide", "narrow"]
        .map(|class| {
            format!(
                "<svg class=\"{class}\" viewBox=\"0 0 720 380\" role=\"img\"><title>rehearsed</title>{lines}</svg>"
            )
        })
        .concat()
}
