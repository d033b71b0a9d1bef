//! The table of all cases. Each family has a file; a large family also has a directory.

mod bodies;
mod chaos;
mod chunks;
mod conditional;
mod connection;
mod deadlines;
mod events;
mod expect;
mod fairness;
mod files;
mod framing;
mod headers;
mod hostile;
mod lifecycle;
mod limits;
mod many;
mod partial;
mod paths;
mod pipelining;
mod ranges;
mod request_line;
mod resources;
mod routes;
mod shutdown;
mod workers;

use crate::case::Case;

/// A family: its name, its cases by file, and the places in the book that explain the family. A
/// place is a page or chapter with its sections; places are separated by semicolons.
type Family = (&'static str, &'static [&'static [Case]], &'static str);

const FAMILIES: &[Family] = &[
    ("request_line", request_line::CASES, "The contract, \"Refusals\""),
    ("headers", &[headers::CASES], "The contract, \"Refusals\""),
    (
        "framing",
        &[framing::CASES],
        "Chapter 1, \"The message with two meanings\"; The contract, \"Refusals\"",
    ),
    ("chunks", &[chunks::CASES], "The contract, \"Messages\" and \"Refusals\""),
    ("bodies", &[bodies::CASES], "The contract, \"Messages\""),
    ("expect", &[expect::CASES], "The contract, \"Messages\""),
    (
        "connection",
        &[connection::CASES],
        "The contract, \"Messages\"; Chapter 1, \"The answer that was thrown away\"",
    ),
    (
        "pipelining",
        &[pipelining::CASES],
        "Chapter 1, \"One conversation\"; The contract, \"Messages\"",
    ),
    (
        "partial",
        &[partial::CASES],
        "Chapter 1, \"One conversation\"; The contract, \"Messages\"",
    ),
    ("routes", &[routes::CASES], "The contract, \"Routes\""),
    ("files", files::CASES, "The contract, \"Files\""),
    ("paths", &[paths::CASES], "The contract, \"Files\""),
    ("conditional", &[conditional::CASES], "The contract, \"Files\""),
    ("ranges", &[ranges::CASES], "The contract, \"Files\""),
    ("limits", &[limits::CASES], "The contract, \"Limits\" and \"Refusals\""),
    (
        "deadlines",
        deadlines::CASES,
        "Chapter 1, \"The client that never ends its request\"; The contract, \"Limits\"",
    ),
    ("many", &[many::CASES], "Chapter 1, \"Two clients\""),
    (
        "hostile",
        hostile::CASES,
        "Chapter 1, \"The client that goes away\"; The contract, \"Starting and stopping\"",
    ),
    (
        "chaos",
        &[chaos::CASES],
        "Chapter 1, \"Break it\"; The contract, \"Limits\" and \"Refusals\"",
    ),
    ("events", events::CASES, "Chapter 3, \"Who is ready?\" and \"The event loop\""),
    ("fairness", &[fairness::CASES], "Chapter 3, \"A fair share\""),
    ("lifecycle", &[lifecycle::CASES], "The contract, \"Starting and stopping\""),
    ("resources", resources::CASES, "The contract, \"Limits\""),
    ("shutdown", &[shutdown::CASES], "The contract, \"Starting and stopping\""),
    ("workers", workers::CASES, "Chapter 2, \"The wall\""),
];

/// Returns every case, in the order of the families.
pub fn all() -> Vec<Case> {
    let family = |(name, cases, _): &Family| {
        let name = *name;
        let cases = cases.iter().copied().flatten();
        cases.map(move |case| Case { family: name, ..*case })
    };
    FAMILIES.iter().flat_map(family).collect()
}

/// Returns the names of all families, in order.
pub fn families() -> Vec<&'static str> {
    FAMILIES.iter().map(|(name, ..)| *name).collect()
}

/// Returns the places in the book that explain a family.
pub fn section(family: &str) -> &'static str {
    FAMILIES
        .iter()
        .find(|(name, ..)| *name == family)
        .map_or("The contract", |(.., section)| section)
}
