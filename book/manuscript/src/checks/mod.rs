//! Checks of the pages. Each check returns a list of the problems that it has found; the book's
//! tests require that the list is empty.

mod figures;
mod html;
mod links;
pub mod numbers;
mod predictions;
mod small;
mod sources;
mod terminals;

use std::path::Path;

use anyhow::Result;

use crate::files::{files, read};
use crate::problem::Problem;

/// Returns a problem for each rule that a page or a figure below `src` breaks, for each line of the
/// sources in `checkout` that the pages must show and do not, and for each broken link and each URL
/// of another host in `rendered`, the book rendered from those pages.
///
/// # Errors
///
/// A file cannot be read.
pub fn all(src: &Path, checkout: &Path, rendered: &Path) -> Result<Vec<Problem>> {
    let mut problems = sources::check(src)?;
    problems.extend(in_pages(src, terminals::in_page)?);
    problems.extend(in_pages(src, predictions::in_page)?);
    problems.extend(small::check(src, checkout)?);
    problems.extend(numbers::check(src)?);
    problems.extend(figures::check(src)?);
    problems.extend(links::check(rendered)?);
    Ok(problems)
}

/// Checks every page below `src` with the function `in_page`, which returns the problems of a
/// page's text, each with the byte offset at which the problem begins.
fn in_pages(
    src: &Path,
    in_page: fn(&str) -> Vec<(usize, &'static str)>,
) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in files(src, "md")? {
        let name = path.strip_prefix(src).unwrap_or(&path);
        let text = read(&path)?;
        let problem = |(at, what)| Problem::at(name, &text, at, what);
        problems.extend(in_page(&text).into_iter().map(problem));
    }
    Ok(problems)
}
