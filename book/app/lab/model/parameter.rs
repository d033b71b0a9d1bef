//! The parameters of an experiment, and the parts of its result.

use figures::chart::Kind;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A quantity that differs between a quick run and a full run of an experiment.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// The name of the things that the quantity counts, such as `clients`.
    #[serde(skip)]
    pub name: &'static str,
    /// The values in a quick run, which takes seconds in most experiments.
    pub quick: &'static [usize],
    /// The values in a full run, whose results the book shows.
    pub full: &'static [usize],
}

/// Returns a parameter with its values in a quick run and in a full one.
pub(crate) const fn parameter(
    name: &'static str,
    quick: &'static [usize],
    full: &'static [usize],
) -> Parameter {
    Parameter { name, quick, full }
}

/// Serializes parameters as a map from their names to their values.
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

/// A part of an experiment's result: a table, with or without a chart.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Output {
    /// The part's name: NAME in book/src/generated/NAME.md.
    pub name: &'static str,
    /// The kind of chart beside the table, or `None` without a chart.
    pub chart: Option<Kind>,
}

/// Returns a part of a result that has a table and a chart.
pub(crate) const fn charted(name: &'static str, chart: Kind) -> Output {
    Output { name, chart: Some(chart) }
}

/// Returns a part of a result that has only a table.
pub(crate) const fn tabled(name: &'static str) -> Output {
    Output { name, chart: None }
}
