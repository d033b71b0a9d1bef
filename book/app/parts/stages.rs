//! Every server of the book in one table: what it keeps for a client that says nothing, what a
//! request costs it, and what of it the suite demands.

use super::results::{Results, cell, microseconds};
use crate::lab::spread::{bytes, thousands};
use client_suite::cases;
use client_suite::profile::{PROFILES, ServerProfile};

/// In the experiment's busiest column that every server stands.
const BUSY: usize = 1_000;
/// In the quietest.
const QUIET: usize = 10_000;

pub(super) fn table(results: &Results) -> String {
    let mut table = format!(
        "| server | how it waits | an idle client | a request, {} busy | a request, {} mostly silent | cases |\n\
         |---|---|--:|--:|--:|--:|\n",
        thousands(BUSY),
        thousands(QUIET),
    );
    let all = cases::all();
    for stage in PROFILES {
        let asked = all.iter().filter(|case| case.skip_reason(stage).is_none()).count();
        table += &format!(
            "| {}&nbsp;`{}` | {} | {} | {} | {} | {} |\n",
            stage.level,
            stage.name,
            stage.summary,
            idle(results, stage),
            request(results, stage, "busy", BUSY),
            request(results, stage, "steady", QUIET),
            asked,
        );
    }
    table += "\n*From what `lab memory` and `lab concurrency` have recorded, and the suite's own tables. The number before a \
              server is its chapter's. An idle client is weighed in the server's own memory, a request in processor time, and the cases \
              are those of the suite that it passes. A dash: not measured.*\n";
    table
}

/// Where nobody has weighed it, what it is.
fn idle(results: &Results, stage: &ServerProfile) -> String {
    let weighed = results.number("memory", &[("server", stage.name)], "each");
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
    let fields =
        [("server", stage.name), ("manner", manner), ("clients", &clients.to_string())];
    let Some(row) = results.row("concurrency", &fields) else {
        return cell(None);
    };
    let cost = results.number("concurrency", &fields, "cpu_microseconds_per_request");
    let error = |kind: &str| row["errors"][kind].as_u64().unwrap_or_default() as usize;
    let mut text = cell(cost.map(microseconds));
    for (count, what) in [
        (error("timed_out") + error("connect"), "not served"),
        (error("status"), "refused"),
    ] {
        if count > 0 {
            text += &format!("<br>{} {what}", thousands(count));
        }
    }
    text
}
