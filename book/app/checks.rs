//! Checks of the book: those of its manuscript, of its recorded results, and of its derived files.
//! Each check returns a list of the problems that it has found; the tests require that the list is
//! empty.

use std::fs;
use std::path::Path;

use anyhow::Result;
use manuscript::files::files;
use manuscript::problem::Problem;

use crate::lab::pages::{drawn, records};
use crate::paths::Paths;
use crate::{derived, lab};

/// Returns all problems that can be found without a browser: in the sources, and in the book
/// rendered from them.
///
/// # Errors
///
/// A file cannot be read.
pub fn all(paths: &Paths, rendered: &Path) -> Result<Vec<Problem>> {
    let mut problems = manuscript::checks::all(&paths.src(), paths.checkout(), rendered)?;
    problems.extend(results(paths)?);
    problems.extend(derived::check(paths)?);
    Ok(problems)
}

/// Returns a problem for each recorded result of an unknown experiment, for each file drawn from a
/// recorded result that is missing or out of date, and for each other Markdown or SVG file in
/// src/generated/ that is neither a derived file (see `derived`) nor a table of the client suite.
///
/// # Errors
///
/// A record or a file cannot be read.
pub fn results(paths: &Paths) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (name, record) in records(paths)? {
        // Systems other than Linux lack some experiments, so an unknown name is a problem on Linux
        // only.
        if lab::find(&record.experiment).is_none() && cfg!(target_os = "linux") {
            let what = format!("there is no experiment called {:?}", record.experiment);
            problems.push(Problem::in_file(Path::new(&name), what));
        }
    }
    let (drawn, generated) = (drawn(paths)?, paths.generated());
    for (name, text) in &drawn {
        let file = generated.join(name);
        if fs::read_to_string(&file).ok().as_ref() != Some(text) {
            let what = "not as the recorded result is drawn now: renew it with `cargo run --release -- lab --redraw`";
            problems.push(Problem::in_file(&file, what));
        }
    }
    let pages = files(&generated, "md")?.into_iter().chain(files(&generated, "svg")?);
    for path in pages {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The files `matrix*` come from no recorded result: the client suite writes and checks
        // them.
        let known = name.starts_with("matrix") || derived::writes(name);
        if !drawn.contains_key(name) && !known {
            let what =
                "no recorded result is behind it: make it with `lab NAME --record`";
            problems.push(Problem::in_file(&path, what));
        }
    }
    Ok(problems)
}
