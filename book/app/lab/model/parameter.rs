//! How much an experiment measures, and what it yields.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::chart::Kind;

/// A quantity that differs between a quick run and a full one.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// What it counts.
    #[serde(skip)]
    pub name: &'static str,
    /// In a quick run, which takes less than twenty seconds.
    pub quick: &'static [usize],
    /// In a full one, as the book shows it.
    pub full: &'static [usize],
}

/// A parameter with its values in a quick run and in a full one.
pub(crate) const fn parameter(
    name: &'static str,
    quick: &'static [usize],
    full: &'static [usize],
) -> Parameter {
    Parameter { name, quick, full }
}

/// Serializes parameters as a map from their names.
pub(crate) fn by_name<S: Serializer>(
    all: &&[&Parameter],
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(all.len()))?;
    for parameter in *all {
        map.serialize_entry(parameter.name, parameter)?;
    }
    map.end()
}

/// A part of a result: a table, and perhaps a chart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Output {
    /// As in book/src/generated/NAME.md.
    pub name: &'static str,
    /// What is drawn beside its table.
    pub chart: Option<Kind>,
}

/// A part with a chart.
pub(crate) const fn charted(name: &'static str, chart: Kind) -> Output {
    Output { name, chart: Some(chart) }
}

/// A part that is only a table.
pub(crate) const fn tabled(name: &'static str) -> Output {
    Output { name, chart: None }
}
