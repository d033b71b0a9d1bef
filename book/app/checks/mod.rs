//! Checks of the book's pages. Each check returns the problems that it has found; the tests
//! require that there are none.

pub mod figures;
mod html;
pub mod links;
pub mod numbers;
mod predictions;
pub mod results;
pub mod sources;
mod terminals;

use std::path::Path;

use anyhow::Result;

use crate::derived;
use crate::paths::Paths;
pub use crate::problem::Problem;

/// Checks everything that can be checked without a browser: the sources, and the book
/// rendered from them.
pub fn all(paths: &Paths, rendered: &Path) -> Result<Vec<Problem>> {
    let src = paths.src();
    let mut problems = sources::check(&src)?;
    problems.extend(terminals::check(&src)?);
    problems.extend(predictions::check(&src)?);
    problems.extend(numbers::check(&src)?);
    problems.extend(results::check(paths)?);
    problems.extend(figures::check(&src)?);
    problems.extend(links::check(rendered)?);
    problems.extend(derived::check(paths)?);
    Ok(problems)
}
