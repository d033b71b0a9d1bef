//! The table of all servers of the book: the memory of an idle client, the processor time of
//! a request, and the number of the suite's cases that a server passes.

use anyhow::{Context, Result};
use figures::text::{bytes, table as markdown, thousands};
use manuscript::files::read;
use profiles::{PROFILES, ServerProfile};

use super::results::{Results, cell};
use crate::paths::Paths;

/// The number of busy clients for which the table shows processor times: the greatest
/// number at which every server was measured.
const BUSY: usize = 1_000;
/// The number of mostly silent clients for which the table shows processor times: the greatest
/// number that was measured.
const QUIET: usize = 10_000;

/// Returns the Markdown table of all servers of the book.
///
/// # Errors
///
/// The suite's matrix cannot be read, or lacks a server.
pub(super) fn table(paths: &Paths, results: &Results) -> Result<String> {
    let head = format!(
        "server | how it waits | >an idle client | >a request, {} busy | >a request, {} mostly silent | >cases",
        thousands(BUSY),
        thousands(QUIET),
    );
    // The client suite writes `matrix-rows.md`, the table of its cases, and a test compares the
    // file with the suite.
    let matrix = read(&paths.generated().join("matrix-rows.md"))?;
    let row = |stage: &ServerProfile| -> Result<String> {
        let asked = cases(&matrix, stage.name)
            .with_context(|| format!("matrix-rows.md has no cases of {}", stage.name))?;
        Ok(format!(
            "{}&nbsp;`{}` | {} | {} | {} | {} | {asked}",
            stage.level,
            stage.name,
            stage.summary,
            idle(results, stage),
            request(results, stage, "busy", BUSY),
            request(results, stage, "steady", QUIET),
        ))
    };
    let rows: Vec<String> = PROFILES.iter().map(row).collect::<Result<_>>()?;
    Ok(markdown(&head, rows)
        + "\n*From what `lab memory` and `lab concurrency` have recorded, and the suite's own tables. The number before a \
              server is its chapter's. An idle client is weighed in the server's own memory, a request in processor time, and the cases \
              are those of the suite that it passes. A dash: not measured.*\n")
}

/// Returns the number of the suite's cases that a server passes, as text: the last cell of the
/// server's row in `matrix`, a Markdown table. `None` if `matrix` has no row for the server.
fn cases<'m>(matrix: &'m str, server: &str) -> Option<&'m str> {
    let row = matrix.lines().find(|row| row.starts_with(&format!("| `{server}` |")))?;
    row.trim_end_matches(['|', ' ']).rsplit('|').next().map(str::trim)
}

/// Returns the server's memory for an idle client or, if the memory was not measured, the name of
/// the thing that an idle client occupies, such as a worker.
fn idle(results: &Results, stage: &ServerProfile) -> String {
    let weighed = results.figure("memory", &[("server", stage.name)], "each");
    match (weighed, stage.idle_cost(), stage.capacity()) {
        (Some(weighed), ..) => bytes(weighed),
        (None, Some(what), _) => format!("a {what}"),
        (None, None, Some((1, _))) => "the server".to_owned(),
        (None, None, Some(_)) => "a worker".to_owned(),
        (None, None, None) => "–".to_owned(),
    }
}

fn request(
    results: &Results,
    stage: &ServerProfile,
    manner: &str,
    clients: usize,
) -> String {
    let clients = clients.to_string();
    let fields = [("server", stage.name), ("manner", manner), ("clients", &clients)];
    let figure = |name| results.figure("concurrency", &fields, name);
    let count = |kind| figure(kind).unwrap_or_default() as usize;
    let mut text = cell(figure("cpu").map(|micros| {
        if micros < 10.0 {
            format!("{micros:.1} µs")
        } else {
            format!("{micros:.0} µs")
        }
    }));
    for (count, what) in [
        (count("timed_out") + count("connect"), "not served"),
        (count("status"), "refused"),
    ] {
        if count > 0 {
            text += &format!("<br>{} {what}", thousands(count));
        }
    }
    text
}
