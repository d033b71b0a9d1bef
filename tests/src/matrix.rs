//! The capability matrix: what each server can do, as a Markdown table for the book.

use std::fmt::Write as _;

use crate::case::Case;
use crate::cases;
use crate::profile::{Capability, PROFILES, ServerProfile};

/// The layout of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A column for each server, for a wide page.
    Columns,
    /// A row for each server, for a narrow page.
    Rows,
}

/// Returns the matrix of all servers up to a chapter.
pub fn markdown(level: u8, layout: Layout) -> String {
    let servers: Vec<&ServerProfile> =
        PROFILES.iter().filter(|profile| profile.level <= level).collect();
    let all = cases::all();
    // Returns the line of one property in the table: the property's title, and each server's cell.
    let line = |title: &str, cell: &dyn Fn(&ServerProfile) -> String| -> Vec<String> {
        let cells = servers.iter().map(|profile| cell(profile));
        [title.to_owned()].into_iter().chain(cells).collect()
    };
    let what = match layout {
        Layout::Columns => "what",
        Layout::Rows => "server",
    };
    let mut lines = vec![
        line(what, &|profile| format!("`{}`", profile.name)),
        line("chapter", &|profile| profile.level.to_string()),
        line("how it waits", &|profile| profile.summary.to_owned()),
    ];
    for capability in Capability::ALL {
        lines.push(line(capability.title(), &|profile| can(profile, capability)));
    }
    for family in cases::families() {
        let of: Vec<&Case> = all.iter().filter(|case| case.family == family).collect();
        let name = format!("cases: {}", family.replace('_', " "));
        lines.push(line(&name, &|profile| count_applicable(&of, profile)));
    }
    let of: Vec<&Case> = all.iter().collect();
    lines.push(line("**cases in all**", &|profile| count_applicable(&of, profile)));
    match layout {
        Layout::Columns => table(&lines),
        Layout::Rows => table(&transposed(&lines)),
    }
}

fn transposed(lines: &[Vec<String>]) -> Vec<Vec<String>> {
    let width = lines.first().map_or(0, Vec::len);
    let column = |at: usize| lines.iter().map(|line| line[at].clone()).collect();
    (0..width).map(column).collect()
}

fn table(lines: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "| {} |", line.join(" | "));
        if at == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(line.len()));
        }
    }
    text
}

fn can(profile: &ServerProfile, capability: Capability) -> String {
    if profile.has(capability) {
        return "yes".to_owned();
    }
    match (capability, profile.capacity(), profile.idle_cost()) {
        (Capability::AnyNumber, Some((1, _)), _) => "no: one".to_owned(),
        (Capability::AnyNumber, Some(_), _) => "no: as many as workers".to_owned(),
        (Capability::IdleForFree, _, Some(what)) => format!("no: one {what}"),
        (Capability::IdleForFree, Some(_), None) => "no: one worker".to_owned(),
        _ => "no".to_owned(),
    }
}

fn count_applicable(of: &[&Case], profile: &ServerProfile) -> String {
    of.iter().filter(|case| case.skip_reason(profile).is_none()).count().to_string()
}
