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
mod projects;
mod ranges;
mod request_line;
mod resources;
mod routes;
mod shutdown;
mod workers;

use std::sync::{Mutex, PoisonError};

use crate::case::Case;

/// A family of cases: its name, its cases by file, and the places in the book that explain the
/// cases. A place is a page or chapter with its sections; places are separated by semicolons.
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

/// The families that [`add`] has added to the suite's own.
static ADDED: Mutex<Vec<Family>> = Mutex::new(Vec::new());

/// Adds a family of cases that another crate defines, such as an instructor's own. From then on
/// [`all`] returns the family's cases after the suite's own. Failure reports name `section` as the
/// text that explains the cases.
///
/// # Panics
///
/// Panics if there already is a family called `name`.
pub fn add(name: &'static str, cases: &'static [&'static [Case]], section: &'static str) {
    assert!(!known(name), "there is a family {name}");
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    added.push((name, cases, section));
}

fn added() -> Vec<Family> {
    ADDED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Returns the cases of a family, each with the family's name.
fn cases_of((name, cases, _): Family) -> impl Iterator<Item = Case> {
    let cases = cases.iter().copied().flatten();
    cases.map(move |case| Case { family: name, ..*case })
}

/// Returns every case that the suite judges by default, in the order of the families.
pub fn all() -> Vec<Case> {
    let mut cases = public();
    cases.extend(added().into_iter().flat_map(cases_of));
    cases
}

/// Returns the suite's own cases: those of [`all`] that [`add`] has not added.
pub fn public() -> Vec<Case> {
    FAMILIES.iter().copied().flat_map(cases_of).collect()
}

/// Returns the cases of the course's projects, which go beyond the contract. No server of the book
/// passes all of them, and the suite runs a project's cases only if its family is named.
pub fn projects() -> Vec<Case> {
    projects::FAMILIES.iter().copied().flat_map(cases_of).collect()
}

/// Returns every case that can be chosen by name: the cases of [`all`], and then those of
/// [`projects`].
pub fn with_projects() -> Vec<Case> {
    let mut cases = all();
    cases.extend(projects());
    cases
}

/// Returns the names of the families that the suite judges by default, in order.
pub fn families() -> Vec<&'static str> {
    FAMILIES
        .iter()
        .map(|(name, ..)| *name)
        .chain(added().iter().map(|(name, ..)| *name))
        .collect()
}

/// Returns whether `family` is the name of a family of cases: one that the suite judges by default,
/// or the family of one of the course's projects.
pub fn known(family: &str) -> bool {
    families().contains(&family)
        || projects::FAMILIES.iter().any(|(name, ..)| *name == family)
}

/// Returns the pages and sections of the book that explain a family's cases.
pub fn section(family: &str) -> &'static str {
    let mut all = FAMILIES.iter().chain(projects::FAMILIES).copied().chain(added());
    all.find(|(name, ..)| *name == family).map_or("The contract", |(.., section)| section)
}
