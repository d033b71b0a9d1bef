//! A problem that a check has found.

use std::fmt;
use std::path::Path;

/// A problem that a check has found: the problem's place and description.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's path, followed by `:LINE` if the problem is in one line.
    pub place: String,
    /// A description of the problem, and of the way to solve it.
    pub what: String,
}

impl Problem {
    /// Returns a problem in the line that contains byte `at` of `text`, the file's content.
    pub fn at(file: &Path, text: &str, at: usize, what: impl Into<String>) -> Self {
        let line = text[..at].matches('\n').count() + 1;
        Self { place: format!("{}:{line}", file.display()), what: what.into() }
    }

    /// Returns a problem that concerns the whole file.
    pub fn in_file(file: &Path, what: impl Into<String>) -> Self {
        Self { place: file.display().to_string(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
