//! What is in generated/ was drawn from a recorded result of an experiment that can be run
//! again, and from nothing else.

use std::fs;

use anyhow::Result;

use super::{Problem, files};
use crate::house::House;
use crate::{lab, parts};

/// Made by other commands, from no measurement of their own: `matrix`, and `parts`, whose
/// check is beside it.
const OTHERS: [&str; 6] =
    ["matrix.md", "stages.md", "state.md", "calls.md", "minutes.md", "minutes-each.md"];

/// Checks every file in results/ and in src/generated/.
pub fn check(house: &House) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for path in files(&lab::recorded(house), "json")? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Some(record) = lab::Record::read(&lab::recorded(house), name)? else {
            continue;
        };
        // Some can be run on Linux only.
        if lab::find(&record.experiment).is_none() && cfg!(target_os = "linux") {
            let what = format!("there is no experiment called {:?}", record.experiment);
            problems.push(Problem::in_file(&path, what));
        }
    }
    let drawn = lab::drawn(house)?;
    let generated = house.src().join("generated");
    for (name, text) in &drawn {
        if fs::read_to_string(generated.join(name)).ok().as_ref() != Some(text) {
            problems.push(Problem::in_file(
                &generated.join(name),
                "not what the recorded result says: `cargo run --release -- lab --redraw`",
            ));
        }
    }
    let pages = files(&generated, "md")?.into_iter().chain(files(&generated, "svg")?);
    for path in pages {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let known = OTHERS.contains(&name) || parts::FILES.contains(&name);
        if !drawn.contains_key(name) && !known {
            let what =
                "no recorded result is behind it: make it with `lab NAME --record`";
            problems.push(Problem::in_file(&path, what));
        }
    }
    Ok(problems)
}
