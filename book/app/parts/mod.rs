//! Parts of pages that follow from what is there already, so that nobody has to keep them
//! right: the table of all stages, where each keeps its clients' state (from the recorded
//! results), the index of system calls (from the sources and the pages), and how long a page
//! takes (from its words).
//!
//! `cargo run --release -- parts` writes them into `src/generated/`; so does every `--record`
//! of the lab. The checks fail if one of them is no longer what would be written now.

mod calls;
mod minutes;
mod pages;
mod results;
mod stages;
mod state;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::checks::Problem;
use crate::house::House;

/// What a page includes from `src/generated/`.
struct Part {
    file: &'static str,
    text: String,
}

/// All of them.
pub const FILES: [&str; 6] =
    ["stages.md", "state.md", "calls.md", "minutes.md", "minutes-each.md", "answers.md"];

fn all(house: &House) -> Result<Vec<Part>> {
    let results = results::Results::read(&house.book().join("results"))?;
    let pages = pages::Pages::read(&house.src())?;
    Ok(vec![
        Part { file: FILES[0], text: stages::table(&results) },
        Part { file: FILES[1], text: state::table(&results) },
        Part { file: FILES[2], text: calls::table(house, &pages)? },
        Part { file: FILES[3], text: minutes::table(&pages) },
        Part { file: FILES[4], text: minutes::each(&pages) },
        // Where some experiments are missing, their answers would be.
        #[cfg(target_os = "linux")]
        Part { file: FILES[5], text: results.answers() },
    ])
}

/// Writes what has changed, and says so.
pub fn write(house: &House) -> Result<()> {
    // The time that a page takes may include parts that are written here.
    for _ in 0..2 {
        for part in all(house)? {
            let path = house.src().join("generated").join(part.file);
            if fs::read_to_string(&path).unwrap_or_default() != part.text {
                fs::write(&path, &part.text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                println!("{}: written", part.file);
            }
        }
    }
    Ok(())
}

/// What is out of date, and what the index of system calls does not know.
pub fn check(house: &House) -> Result<Vec<Problem>> {
    let mut problems = calls::unknown(house)?;
    for part in all(house)? {
        let path = house.src().join("generated").join(part.file);
        if fs::read_to_string(&path).unwrap_or_default() != part.text {
            problems.push(Problem {
                place: Path::new("generated").join(part.file).display().to_string(),
                what: "out of date: renew it with `cargo run --release -- parts`".into(),
            });
        }
    }
    Ok(problems)
}
