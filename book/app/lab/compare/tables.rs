//! The comparison as tables: an overview in processor time, each cell with all that was
//! measured in it, and memory.

use super::super::record::{Part, Record};
use super::super::spread::{Spread, bytes, thousands};
use super::turn::Row;
use super::{Results, ranking};

/// What the pages show of it; its order beside that of an earlier record.
pub(super) fn parts(
    name: &'static str,
    results: &Results,
    earlier: Option<&Record>,
) -> Vec<Part> {
    let part = |name, table| Part::new(name, table, None);
    let mut parts = vec![part(name, overview(results) + &foot(results))];
    if name == "compare" {
        let since = earlier.and_then(|earlier| ranking::since(earlier, &results.rows));
        let order = ranking::order(&results.rows) + &since.unwrap_or_default();
        parts.push(Part::once("compare-order", order));
        parts.push(part("compare-cells", cells(results)));
    }
    parts
}

/// A row for each server, a column for each cell.
fn overview(results: &Results) -> String {
    let mut titles: Vec<&str> = Vec::new();
    let mut servers: Vec<&str> = Vec::new();
    let rows = results.rows.iter().map(|row| (row.title, row.server.as_str()));
    let weights = results.memory.iter().map(|weight| ("", weight.server.as_str()));
    for (title, server) in rows.chain(weights) {
        if !title.is_empty() && !titles.contains(&title) {
            titles.push(title);
        }
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    // So many columns as a page is wide.
    let groups: Vec<_> = titles.chunks(3).collect();
    let mut text = String::new();
    for (at, titles) in groups.iter().enumerate() {
        let memory = at + 1 == groups.len() && !results.memory.is_empty();
        text += &format!("| µs a request | {} |", titles.join(" | "));
        text += if memory { " memory of an idle one |\n" } else { "\n" };
        text += &format!("|---|{}\n", "--:|".repeat(titles.len() + usize::from(memory)));
        for server in &servers {
            text += &format!("| `{server}` |");
            for title in *titles {
                let row = results
                    .rows
                    .iter()
                    .find(|row| row.server == *server && row.title == *title);
                text += &row.map_or(" – |".into(), |row| {
                    format!(" {} |", figure(row.cpu.median))
                });
            }
            let weight = results.memory.iter().find(|weight| weight.server == *server);
            if let Some(weight) = weight.filter(|_| memory) {
                text += &format!(" {} |", bytes(weight.bytes_each.max(0.0)));
            }
            text += "\n";
        }
        text += "\n";
    }
    text
}

/// What is to be said below the overview.
fn foot(results: &Results) -> String {
    let mut foot = String::new();
    if !results.versions.is_empty() {
        foot += &format!("The others: {}.", results.versions.join(", "));
    }
    for remark in &results.remarks {
        foot += &format!(" *{remark}.*");
    }
    let some = results.rows.iter().filter(|row| row.trouble.any());
    let failed: Vec<String> = some
        .map(|row| format!("`{}` in {}: {}", row.server, row.title, row.trouble))
        .chain(results.failures.iter().cloned())
        .collect();
    foot += &match failed.len() {
        0 => " No request failed.\n".to_owned(),
        _ => format!(" What failed: {}.\n", failed.join("; ")),
    };
    foot
}

/// A table for each cell.
fn cells(results: &Results) -> String {
    let mut text = String::new();
    for cell in results.rows.chunk_by(|a, b| a.cell == b.cell) {
        let title = cell.first().map_or("", |row| row.title);
        text += &format!(
            "**{title}**\n\n\
             | server | processor, µs a request | user | system | requests/s | p50, µs | p99 | p99.9 | client busy | errors |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for row in cell {
            text += &line(row);
        }
        text += "\n";
    }
    text
}

fn line(row: &Row) -> String {
    let median = |spread: Spread| figure(spread.median);
    format!(
        "| `{}` | {} ({} to {}) | {} | {} | {} | {} | {} | {} | {:.0} % | {} |\n",
        row.server,
        median(row.cpu),
        figure(row.cpu.min),
        figure(row.cpu.max),
        figure(row.user),
        figure(row.system),
        thousands(row.requests_per_second.median as usize),
        median(row.p50),
        median(row.p99),
        median(row.p999),
        row.client_busy.median * 100.0,
        row.trouble,
    )
}

/// Three digits or so.
fn figure(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => thousands(v.round() as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_digits_as_mean_something() {
        assert_eq!(
            [0.456, 5.678, 56.78, 5678.9].map(figure),
            ["0.46", "5.68", "56.8", "5,679"]
        );
    }
}
