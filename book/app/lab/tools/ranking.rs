//! Ranks servers by cost, and compares the ranking with that of an earlier record.
//!
//! The cost of a server is the processor time per request in its cheapest round. Other work on the
//! machine makes a round more expensive and never cheaper, so the cheapest round is the least
//! disturbed one. The median, which other tables show, is the cost of a typical round.

use std::cmp::Ordering::{self, Equal, Greater, Less};

use figures::text::{counted, table, thousands};
use profiles::ServerProfile;

use crate::lab::model::record::{Field, Record, Row};

/// Two costs that differ by less than this factor count as equal.
const LEVEL: f64 = 1.03;

/// The cost of a server in a cell, that is, under one kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost<'a> {
    pub cell: &'a str,
    pub server: &'a str,
    /// The processor time per request in the cheapest round, in microseconds.
    pub least: f64,
}

/// Returns a table with a row for each cell, in which the servers are sorted by cost. `title`
/// returns the title of the cell with the given name.
pub(crate) fn order(costs: &[Cost<'_>], title: impl Fn(&str) -> &'static str) -> String {
    let line = |cell: &[Cost<'_>]| {
        let of = |cost: &Cost<'_>| (cost.server.to_owned(), cost.least);
        let costs = ranked(cell.iter().map(of).collect());
        format!("{} | {costs}", cell.first().map_or("", |cost| title(cost.cell)))
    };
    let cells = costs.chunk_by(|a, b| a.cell == b.cell);
    table("manner | from the cheapest to the dearest", cells.map(line))
}

/// Returns the names from the cheapest to the most expensive server, as in `a < b, c < d`, where
/// the costs of b and c count as equal.
fn ranked(mut costs: Vec<(String, f64)>) -> String {
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut text, mut first) = (String::new(), f64::NEG_INFINITY);
    for (name, cost) in costs {
        let level = side(first, cost) == Equal;
        text += match text.is_empty() {
            true => "",
            false if level => ", ",
            false => " < ",
        };
        text += &format!("`{name}`");
        if !level {
            first = cost;
        }
    }
    text
}

/// Compares two costs: `Less` if `one` is less than `other`, and `Equal` if the two count as equal.
fn side(one: f64, other: f64) -> Ordering {
    match () {
        () if other > one * LEVEL => Less,
        () if one > other * LEVEL => Greater,
        () => Equal,
    }
}

/// Returns a sentence about the pairs of servers that have changed their order since the earlier
/// record. A pair is a server of the book and a server that is not one of the book's, in the same
/// cell. `None` if no pair is in both `earlier` and `now`, or the time of the earlier record is not
/// known.
pub(crate) fn since(earlier: &Record, now: &[Cost<'_>]) -> Option<String> {
    let before: Vec<_> = earlier.rows.iter().filter_map(recorded).collect();
    let (pairs, turned) = turned(&before, now);
    let when = earlier.when.as_ref().filter(|_| pairs > 0)?;
    let (count, list) = match turned.len() {
        0 => ("none has".to_owned(), String::new()),
        1 => ("one has".to_owned(), turned.concat()),
        many => (format!("{} have", thousands(many)), turned.join("; ")),
    };
    let colon = if list.is_empty() { "" } else { ": " };
    Some(format!(
        "\nOf {}, one of the book's servers and one of the others in the same cell, {count} \
         changed sides since the record of {when}{colon}{list}.\n",
        counted(pairs, "pair"),
    ))
}

/// Returns the cost in a recorded row. `None` if the row has no processor time.
fn recorded(row: &Row) -> Option<Cost<'_>> {
    match (row.get("cell")?, row.get("server")?, row.get("cpu")?) {
        (Field::Text(cell), Field::Text(server), Field::Summary(cpu)) => {
            Some(Cost { cell, server, least: cpu.min })
        }
        _ => None,
    }
}

/// Returns the number of pairs (as in [`since`]) that are in both `before` and `now`, and the names
/// of the pairs whose order has changed.
fn turned(before: &[Cost<'_>], now: &[Cost<'_>]) -> (usize, Vec<String>) {
    let then = |cost: &Cost<'_>| {
        let same = |old: &&Cost<'_>| (old.cell, old.server) == (cost.cell, cost.server);
        before.iter().find(same).map(|old| old.least)
    };
    let both = now.iter().filter_map(|cost| Some((cost, then(cost)?)));
    let (ours, others): (Vec<_>, Vec<_>) =
        both.partition(|(cost, _)| ServerProfile::by_name(cost.server).is_some());
    let (mut pairs, mut turned) = (0, Vec::new());
    for (our, our_before) in &ours {
        for (other, other_before) in others.iter().filter(|(it, _)| it.cell == our.cell) {
            let was = side(*our_before, *other_before);
            pairs += 1;
            if was != Equal && side(our.least, other.least) == was.reverse() {
                let Cost { cell, server, .. } = our;
                turned.push(format!("`{server}` and `{}` in `{cell}`", other.server));
            }
        }
    }
    (pairs, turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_means_level_with_the_first_of_a_group() {
        let costs = [("d", 1.08), ("a", 1.0), ("c", 1.04), ("b", 1.03)];
        let costs = costs.map(|(name, cost)| (name.to_owned(), cost));
        assert_eq!(ranked(costs.into()), "`a`, `b` < `c` < `d`");
    }

    #[test]
    fn a_server_that_was_ahead_and_is_behind_has_changed_sides() {
        let costs = |ours: [f64; 3]| -> Vec<Cost<'_>> {
            let cells = ["one", "two", "three"].into_iter().zip(ours);
            let both = |(cell, least)| {
                [("epoll", least), ("floor", 1.0)].map(|(server, least)| Cost {
                    cell,
                    server,
                    least,
                })
            };
            cells.flat_map(both).collect()
        };
        let before = costs([0.9, 1.0, 1.1]);
        assert_eq!(turned(&before, &costs([1.0, 1.1, 1.0])), (3, vec![]));
        let names = ["`epoll` and `floor` in `one`", "`epoll` and `floor` in `three`"];
        let now = costs([1.1, 0.9, 0.9]);
        assert_eq!(turned(&before, &now), (3, names.map(str::to_owned).to_vec()));
        assert_eq!(turned(&before[..2], &before), (1, vec![]), "one stands in both");
    }
}
