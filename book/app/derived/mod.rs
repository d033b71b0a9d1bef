//! Parts of pages that are derived from what is there already, so that nothing has to be kept
//! right by hand: the table of all stages, where each keeps its clients' state (from the
//! recorded results), the index of system calls (from the sources and the pages), and how
//! long a page takes (from its words).
//!
//! `cargo run --release -- parts` writes them into `src/generated/`; so does every `--record`
//! of the lab. The checks fail if one of them is not what would be written now.

mod pages;
mod reading_time;
mod results;
mod stages;
mod state;
mod syscall_index;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::files::replace;
use crate::paths::Paths;
use crate::problem::Problem;

/// All of them.
pub const FILES: [&str; 6] =
    ["stages.md", "state.md", "calls.md", "minutes.md", "minutes-each.md", "answers.md"];

/// Returns the names and contents of those that are not as they should be.
fn stale(paths: &Paths) -> Result<BTreeMap<&'static str, String>> {
    let results = results::Results::read(paths)?;
    let pages = pages::Pages::read(&paths.src())?;
    let texts = [
        stages::table(&results),
        state::table(&results),
        syscall_index::table(paths, &pages)?,
        reading_time::table(&pages),
        reading_time::each(&pages),
        results.answers(),
    ];
    let mut parts: BTreeMap<_, _> = FILES.into_iter().zip(texts).collect();
    if cfg!(not(target_os = "linux")) {
        parts.remove("answers.md"); // those of some experiments are missing
    }
    parts.retain(|file, text| {
        fs::read_to_string(paths.generated().join(file)).ok().as_ref() != Some(text)
    });
    Ok(parts)
}

/// Writes what has changed, and says so.
pub fn write(paths: &Paths) -> Result<()> {
    // The time that a page takes may include parts that are written here.
    for _ in 0..2 {
        for (file, text) in stale(paths)? {
            replace(&paths.generated().join(file), &text)?;
            println!("{file}: written");
        }
    }
    Ok(())
}

/// Returns what is out of date, and what the index of system calls does not know.
pub(crate) fn check(paths: &Paths) -> Result<Vec<Problem>> {
    let mut problems = syscall_index::unknown(paths)?;
    problems.extend(stale(paths)?.keys().map(|file| {
        let what = "out of date: renew it with `cargo run --release -- parts`";
        Problem::in_file(&Path::new("generated").join(file), what)
    }));
    Ok(problems)
}
