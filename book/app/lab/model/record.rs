//! A result as it is stored: the reader's own in target/lab/NAME.json, the book's in
//! book/results/NAME.json, all in one schema. Everything that a page shows of a result is
//! drawn from its record.
//!
//! ```text
//! {"version": 1, "experiment": "idle", "command": "cargo run --release -- lab idle --full",
//!  "mode": "full", "when": "Tue, 24 Nov 2026 12:00:00 GMT", "parameters": {"repeats": [7], …},
//!  "machine": {…}, "notes": [],
//!  "rows": [{"server": "poll", "clients": 100, "cpu": {"median": …, "min": …, "max": …, "repeats": 7}}, …]
//!  "parts": [{"name": "idle", "table": "| server | …", "chart": {"kind": "line", …}, "once": false}]}
//! ```
//!
//! Every field is there in every record; what was not recorded is null. A row is flat: each
//! of its fields is a text, a number, the summary of several repeats, or null.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::chart::Chart;
use super::machine::Machine;
use super::summary::Summary;
use crate::files;

/// The schema that this program writes, and the only one that it reads.
pub(crate) const VERSION: u64 = 1;

/// How much was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// So much that it takes less than twenty seconds.
    Quick,
    /// As much as the book shows.
    Full,
}

/// A result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of the schema.
    pub version: u64,
    /// The experiment's name.
    pub experiment: String,
    /// What a reader types to repeat it.
    pub command: String,
    /// How much was measured.
    pub mode: Option<Mode>,
    /// When, as in `Tue, 24 Nov 2026 12:00:00 GMT`.
    pub when: Option<String>,
    /// How much in detail.
    pub parameters: BTreeMap<String, Vec<usize>>,
    /// Where.
    pub machine: Machine,
    /// What else there is to say of it, such as versions.
    pub notes: Vec<String>,
    /// What was measured.
    pub rows: Vec<Row>,
    /// What pages show of it.
    pub parts: Vec<Part>,
}

/// One line of what was measured.
pub(crate) type Row = BTreeMap<String, Field>;

/// A field of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// Several repeats.
    Summary(Summary),
    /// One figure.
    Number(Number),
    /// A name.
    Text(String),
    /// Not measured.
    Nothing,
}

impl Field {
    /// Returns the number, or the median of the repeats.
    pub fn figure(&self) -> Option<f64> {
        match self {
            Field::Summary(summary) => Some(summary.median),
            Field::Number(number) => number.as_f64(),
            Field::Text(_) | Field::Nothing => None,
        }
    }

    fn is(&self, text: &str) -> bool {
        match self {
            Field::Text(own) => own == text,
            Field::Number(number) => number.to_string() == text,
            Field::Summary(_) | Field::Nothing => false,
        }
    }
}

/// What pages show of a result: a table, and perhaps a chart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Of the file that a page includes.
    pub name: String,
    /// In Markdown.
    pub table: String,
    /// Beside it.
    pub chart: Option<Chart>,
    /// Measured once, or without figures; else these are medians of several repeats.
    pub once: bool,
}

impl Part {
    /// A part of medians.
    pub fn new(name: &str, table: String, chart: Option<Chart>) -> Part {
        Part { name: name.to_owned(), table, chart, once: false }
    }

    /// A part that was measured once, or has no figures.
    pub fn once(name: &str, table: String, chart: Option<Chart>) -> Part {
        Part { once: true, ..Part::new(name, table, chart) }
    }
}

/// What a run of an experiment measured, before it is a record.
#[derive(Debug)]
pub struct Results {
    /// What was measured.
    pub rows: Vec<Row>,
    /// What is shown of it.
    pub parts: Vec<Part>,
    /// What else there is to say.
    pub notes: Vec<String>,
    /// The command and the record's name, where they are not the experiment's own.
    pub stored_as: Option<(String, &'static str)>,
}

impl Results {
    /// Makes rows of anything that serializes to flat objects.
    pub fn new<R: Serialize>(rows: &[R], parts: Vec<Part>) -> Result<Results> {
        let rows = serde_json::from_value(serde_json::to_value(rows)?)
            .context("a row is not as records have it")?;
        Ok(Results { rows, parts, notes: Vec::new(), stored_as: None })
    }
}

impl Record {
    /// Reads the record called `name` in this directory, if there is one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is of another schema.
    pub fn read(directory: &Path, name: &str) -> Result<Option<Record>> {
        let path = directory.join(format!("{name}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let is_none = || format!("{} is no result of the lab", path.display());
        let record: Value =
            serde_json::from_str(&files::read(&path)?).with_context(is_none)?;
        if record["version"] != VERSION {
            bail!(
                "{} was written by another version of this program: measure it again, or remove it",
                path.display()
            );
        }
        serde_json::from_value(record).with_context(is_none).map(Some)
    }

    /// Returns the part of this name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Returns the chart of the part of this name.
    pub fn chart(&self, name: &str) -> Option<&Chart> {
        self.part(name)?.chart.as_ref()
    }

    /// Returns the rows in which all these fields have these values.
    pub fn rows<'a>(
        &'a self,
        fields: &'a [(&str, &str)],
    ) -> impl DoubleEndedIterator<Item = &'a Row> {
        let has = |row: &Row, name: &str, value: &str| {
            row.get(name).is_some_and(|field| field.is(value))
        };
        self.rows
            .iter()
            .filter(move |row| fields.iter().all(|(name, value)| has(row, name, value)))
    }

    /// Returns the figure `name` of the last such row.
    pub fn figure(&self, fields: &[(&str, &str)], name: &str) -> Option<f64> {
        self.rows(fields).next_back()?.get(name)?.figure()
    }
}
