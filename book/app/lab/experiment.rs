//! What an experiment is: a question, something to predict, how much is measured, and what
//! it yields. Each file of an experiment has one of these, and `registry.rs` lists them.

use anyhow::Result;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::Lab;
use super::prediction::Predict;

/// Something that can be measured.
#[derive(Serialize)]
pub struct Experiment {
    /// As in `lab NAME`, target/lab/NAME.json and book/results/NAME.json.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// What to predict before it answers.
    pub predict: Predict,
    /// How much is measured: in a quick run, in less than twenty seconds, and in full.
    #[serde(serialize_with = "by_name")]
    pub parameters: &'static [&'static Parameter],
    /// The parts of what it yields, each with a table.
    pub parts: &'static [Yield],
    /// Whether it may be run from the book's pages. One that takes minutes whatever is
    /// asked of it, or programs that a reader must build, is for a terminal.
    pub from_page: bool,
    #[serde(skip)]
    pub(super) run: fn(&Lab<'_>) -> Result<()>,
}

/// A part of a result.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Yield {
    /// As in book/src/generated/NAME.md.
    pub name: &'static str,
    /// What is drawn beside its table.
    pub chart: Option<Kind>,
}

/// The kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Lines over something that grows, both axes logarithmic.
    Line,
    /// A bar for each of several things.
    Bar,
    /// How values are spread, over something that grows: the darker, the more.
    Heat,
}

/// One thing that can be more or less.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// Of what.
    #[serde(skip)]
    pub name: &'static str,
    /// In a quick run.
    pub quick: &'static [usize],
    /// In a full one, as the book shows it.
    pub full: &'static [usize],
}

fn by_name<S: Serializer>(all: &&[&Parameter], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(all.len()))?;
    for parameter in *all {
        map.serialize_entry(parameter.name, parameter)?;
    }
    map.end()
}

/// A part with a chart.
pub(super) const fn charted(name: &'static str, chart: Kind) -> Yield {
    Yield { name, chart: Some(chart) }
}

/// A part that is a table only.
pub(super) const fn table(name: &'static str) -> Yield {
    Yield { name, chart: None }
}
