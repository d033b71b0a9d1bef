//! Something that is wrong with a page, as the checks report it.

use std::fmt;
use std::path::Path;

/// A problem: where, and what.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, and the line in it where one can be named.
    pub place: String,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl Problem {
    /// A problem at the line of byte `at` of the file's text.
    pub(crate) fn at(
        file: &Path,
        text: &str,
        at: usize,
        what: impl Into<String>,
    ) -> Self {
        let line = text[..at].matches('\n').count() + 1;
        Self { place: format!("{}:{line}", file.display()), what: what.into() }
    }

    /// A problem of the whole file.
    pub(crate) fn in_file(file: &Path, what: impl Into<String>) -> Self {
        Self { place: file.display().to_string(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
