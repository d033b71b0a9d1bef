//! The ladder for a server in any language, which the suite starts with a shell command. Each rung
//! is a group of cases that the server must pass.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use client_suite::cases;
use client_suite::judge::DocumentRoot;
use client_suite::profile::UNKNOWN;
use client_suite::target::Target;
use serde::Deserialize;

use crate::gate::{self, Check, Subject};
use crate::ladder::{package, read, url};

/// A rung of the ladder: a group of cases that a server must pass before the next rung is tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The rung's title, which `climb` prints.
    pub title: String,
    /// The page and section of the book that explain the rung.
    pub page: String,
    /// The full names of the cases that a server must pass.
    pub cases: Vec<String>,
}

/// Returns all rungs, in their order.
///
/// # Errors
///
/// Fails if `rungs.toml` cannot be read.
pub fn all() -> anyhow::Result<Vec<Rung>> {
    #[derive(Deserialize)]
    struct File {
        rungs: Vec<Rung>,
    }
    let text = read(&package().join("rungs.toml"))?;
    Ok(toml::from_str::<File>(&text).context("rungs.toml")?.rungs)
}

impl Rung {
    /// Returns the rung's cases.
    ///
    /// # Errors
    ///
    /// Fails if the suite lacks a case that the rung names.
    pub fn gate(&self) -> anyhow::Result<Vec<Check>> {
        let all = cases::all();
        let case = |name: &String| {
            let found = all.iter().find(|case| case.full_name() == *name).copied();
            found
                .map(Check::Case)
                .with_context(|| format!("the suite has no case {name}"))
        };
        self.cases.iter().map(case).collect()
    }
}

/// Judges the server that `command` starts by the cases of each rung in turn, until a case fails.
/// Returns whether the server passes the cases of all rungs.
///
/// # Errors
///
/// Fails if the suite cannot judge on this machine.
pub fn climb(command: &str) -> anyhow::Result<bool> {
    let (rungs, root) = (all()?, DocumentRoot::new()?);
    let subject = Subject {
        directory: Path::new("."),
        profile: &UNKNOWN,
        target: Target::Command(command.to_owned()),
        tests: &BTreeMap::new(),
        root: &root.path,
    };
    for (index, rung) in rungs.iter().enumerate() {
        let gate = rung.gate()?;
        let (red, time) = gate::first_red(&gate, &subject, &|| ());
        let (number, of, title) = (index + 1, rungs.len(), &rung.title);
        if let Some(red) = red {
            println!("\nRung {number} of {of}: {title}\n");
            println!("page         {}", url(&rung.page));
            println!("case         {}\n\n{}", red.check.name(), red.text);
            return Ok(false);
        }
        println!("green  {number:>2}  {title} ({:.1} s)", time.as_secs_f64());
    }
    println!("All {} rungs are green.", rungs.len());
    Ok(true)
}
