//! Checks of the book's pages. Each check returns a list of the problems that it has found; the
//! tests require that the list is empty.

pub mod figures;
mod html;
pub mod links;
pub mod numbers;
mod predictions;
pub mod results;
mod small;
pub mod sources;
mod terminals;

use std::path::Path;

use anyhow::Result;

use crate::derived;
use crate::files::{files, read};
use crate::paths::Paths;
pub use crate::problem::Problem;

/// Returns all problems that can be found without a browser: in the sources, and in the book
/// rendered from them.
pub fn all(paths: &Paths, rendered: &Path) -> Result<Vec<Problem>> {
    let src = paths.src();
    let mut problems = sources::check(&src)?;
    problems.extend(in_pages(&src, terminals::in_page)?);
    problems.extend(in_pages(&src, predictions::in_page)?);
    problems.extend(small::check(&src, paths.checkout())?);
    problems.extend(numbers::check(&src)?);
    problems.extend(results::check(paths)?);
    problems.extend(figures::check(&src)?);
    problems.extend(links::check(rendered)?);
    problems.extend(derived::check(paths)?);
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
