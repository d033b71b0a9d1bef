//! Parts of pages that are derived from other files, so that no table has to be kept up to date by
//! hand:
//!
//! - the table of all servers (from the recorded results and the client suite's cases);
//! - the table of where each server keeps its clients' state, and the answers to the experiments'
//!   questions (both from the recorded results);
//! - the index of system calls (from the list `syscalls.toml`, the sources and the pages);
//! - the reading times (from the pages), and the weeks of a course (from the reading times and the
//!   course's steps);
//! - the durations of slow commands (from `durations.json`);
//! - the cases that the small servers pass and fail (from the lists that their tests keep).
//!
//! `cargo run --release -- parts` writes the derived files into `src/generated/`; so does every run
//! of the lab with `--record`. The checks fail if a derived file is out of date.

mod reading_time;
mod results;
mod small;
mod stages;
mod state;
mod syscall_index;
mod weeks;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use figures::text::keep_units;
use manuscript::files::replace;
use manuscript::pages::Pages;
use manuscript::problem::Problem;

use crate::durations;
use crate::paths::Paths;

/// The names of all derived files, except the files about the small servers: [`small::SERVERS`]
/// has their names.
const FILES: [&str; 8] = [
    "stages.md",
    "state.md",
    "calls.md",
    "minutes.md",
    "minutes-each.md",
    "answers.md",
    "durations.md",
    "weeks.md",
];

/// Returns whether the file called `name` in `src/generated/` is one of the derived files.
pub(crate) fn writes(name: &str) -> bool {
    FILES.contains(&name) || small::SERVERS.iter().any(|(.., file)| *file == name)
}

/// Returns the names of the derived files that are missing or out of date, each with the content
/// that the file should have.
fn stale(paths: &Paths) -> Result<BTreeMap<&'static str, String>> {
    let results = results::Results::read(paths)?;
    let pages = Pages::read(&paths.src())?;
    let texts = [
        stages::table(paths, &results)?,
        state::table(&results),
        syscall_index::table(paths, &pages)?,
        reading_time::table(&pages),
        reading_time::each(&pages),
        results.answers(),
        durations::for_pages(paths)?,
        weeks::table(paths, &pages)?,
    ];
    let texts = texts.map(|text| keep_units(&text).into_owned());
    let mut parts: BTreeMap<_, _> = FILES.into_iter().zip(texts).collect();
    if cfg!(not(target_os = "linux")) {
        parts.remove("answers.md"); // some of its experiments exist on Linux only
    }
    for (chapter, server, file) in small::SERVERS {
        parts.insert(file, small::table(paths, chapter, server)?);
    }
    parts.retain(|file, text| {
        fs::read_to_string(paths.generated().join(file)).ok().as_ref() != Some(text)
    });
    Ok(parts)
}

/// Writes the derived files that are out of date, and prints their names.
pub fn write(paths: &Paths) -> Result<()> {
    // The files are written twice, because a page's reading time also counts the derived files that
    // the page includes.
    for _ in 0..2 {
        for (file, text) in stale(paths)? {
            replace(&paths.generated().join(file), &text)?;
            println!("{file}: written");
        }
    }
    Ok(())
}

/// Returns a problem for each derived file that is out of date, for each system call that the
/// sources make through `libc` or `nix` and `syscalls.toml` lacks, and for each system call in
/// `syscalls.toml` that no source makes.
pub(crate) fn check(paths: &Paths) -> Result<Vec<Problem>> {
    let mut problems = syscall_index::unknown(paths)?;
    problems.extend(stale(paths)?.keys().map(|file| {
        let what = "out of date: renew it with `cargo run --release -- parts`";
        Problem::in_file(&Path::new("generated").join(file), what)
    }));
    Ok(problems)
}
