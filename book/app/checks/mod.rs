//! What a page of this book may not do. Each check returns what it found, a
//! line each; the tests want none.

pub mod figures;
pub mod html;
pub mod links;
pub mod numbers;
pub mod results;
pub mod sources;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::house::House;
use crate::parts;

/// Something that is wrong with a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, and the line in it where one can be named.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl Problem {
    fn at_line(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", file.display()), what: what.into() }
    }

    fn in_file(file: &Path, what: impl Into<String>) -> Self {
        Self { place: file.display().to_string(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// All that can be checked without a browser, of the sources and of the book rendered from them.
pub fn all(house: &House, rendered: &Path) -> Result<Vec<Problem>> {
    let src = house.src();
    let mut problems = sources::check(&src)?;
    problems.extend(numbers::check(&src)?);
    problems.extend(results::check(house)?);
    problems.extend(figures::check(&src)?);
    problems.extend(links::check(rendered)?);
    problems.extend(parts::check(house)?);
    Ok(problems)
}

/// The files below `dir` whose names end in `.ending`, sorted.
pub fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)
            .with_context(|| format!("cannot read {}", dir.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The number of the line that byte `at` is on.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
