//! A record: the result of an experiment in the form in which it is stored. The reader's own
//! records are in target/lab/NAME.json, the book's in book/results/NAME.json, all in one schema.
//! Everything that a page shows of a result is drawn from the result's record.
//!
//! ```text
//! {"version": 1, "experiment": "idle", "command": "cargo run --release -- lab idle --full",
//!  "mode": "full", "when": "Tue, 24 Nov 2026 12:00:00 GMT", "seconds": 95.0,
//!  "parameters": {"repeats": [7], …}, "machine": {…}, "notes": [],
//!  "rows": [{"server": "poll", "clients": 100, "cpu": {"median": …, "min": …, "max": …, "repeats": 7}}, …],
//!  "parts": [{"name": "idle", "table": "| server | …", "chart": {"kind": "line", …}, "once": false}]}
//! ```
//!
//! Every record has all of these fields, except that older records lack `seconds`. Any other value
//! that was not recorded is null. A row is flat: each of its fields is a text, a number, the
//! summary of several repeats, or null.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use figures::chart::Chart;
use figures::summary::Summary;
use manuscript::files;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::machine::Machine;

/// The version of the schema that this program writes. The program reads no other version.
pub(crate) const VERSION: u64 = 1;

/// The extent of a run: quick or full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A quick run, which takes seconds in most experiments.
    Quick,
    /// A full run, whose results the book shows; it may take minutes.
    Full,
}

/// A stored result of an experiment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of the record's schema.
    pub version: u64,
    /// The name of the experiment.
    pub experiment: String,
    /// The command that repeats the run.
    pub command: String,
    /// Whether the run was quick or full, if recorded.
    pub mode: Option<Mode>,
    /// The time of the run, if recorded, as in `Tue, 24 Nov 2026 12:00:00 GMT`.
    pub when: Option<String>,
    /// Seconds that the run took, if recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The values of the experiment's parameters.
    pub parameters: BTreeMap<String, Vec<usize>>,
    /// The properties of the machine that influence the figures, such as its processor and kernel.
    pub machine: Machine,
    /// Remarks on the run, such as the versions of programs.
    pub notes: Vec<String>,
    /// The measured figures.
    pub rows: Vec<Row>,
    /// The tables and charts that pages show.
    pub parts: Vec<Part>,
}

/// One row of measured figures: fields by name.
pub(crate) type Row = BTreeMap<String, Field>;

/// A field of a row of measured figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// The summary of several repeats.
    Summary(Summary),
    /// A figure that was measured once.
    Number(Number),
    /// A text, such as the name of a server.
    Text(String),
    /// A figure that was not measured.
    Nothing,
}

impl Field {
    /// Returns the measured number, or the median if there were several repeats. Returns `None` for
    /// a text and for a figure that was not measured.
    pub fn figure(&self) -> Option<f64> {
        match self {
            Field::Summary(summary) => Some(summary.median),
            Field::Number(number) => number.as_f64(),
            Field::Text(_) | Field::Nothing => None,
        }
    }

    /// Returns whether the field is the text `text`, or a number whose decimal digits are `text`.
    fn is(&self, text: &str) -> bool {
        match self {
            Field::Text(own) => own == text,
            Field::Number(number) => number.to_string() == text,
            Field::Summary(_) | Field::Nothing => false,
        }
    }
}

/// A part of a result as pages show it: a table, with or without a chart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The name of the part, which is also the name of the file that a page includes.
    pub name: String,
    /// The table, in Markdown.
    pub table: String,
    /// The chart beside the table, if the part has one.
    pub chart: Option<Chart>,
    /// Whether each figure of the part was measured once, or the part has no figures. If false, the
    /// figures are medians of several repeats.
    pub once: bool,
}

impl Part {
    /// Returns a part whose figures are medians of several repeats.
    pub fn new(name: &str, table: String, chart: Option<Chart>) -> Part {
        Part { name: name.to_owned(), table, chart, once: false }
    }

    /// Returns a part whose figures were measured once, or which has no figures.
    pub fn once(name: &str, table: String, chart: Option<Chart>) -> Part {
        Part { once: true, ..Part::new(name, table, chart) }
    }
}

/// The results of a run, from which the record of the run is made.
#[derive(Debug)]
pub struct Results {
    /// The measured figures.
    pub rows: Vec<Row>,
    /// The tables and charts to show.
    pub parts: Vec<Part>,
    /// Remarks on the run, such as the versions of programs.
    pub notes: Vec<String>,
    /// The command, the name and the parameters of the record, if the experiment's own options may
    /// have changed them. `None` stands for the command `lab EXPERIMENT`, the experiment's name and
    /// the values that its parameters have in a quick or a full run.
    pub stored_as: Option<StoredAs>,
}

/// The command, the name and the parameters of a run's record, for a run with options that only its
/// experiment has, such as `lab hold --connections N`.
#[derive(Debug)]
pub struct StoredAs {
    /// The command that repeats the run.
    pub command: String,
    /// The name of the record: NAME in target/lab/NAME.json.
    pub name: &'static str,
    /// The values of the experiment's parameters in the run, by the parameters' names.
    pub parameters: BTreeMap<String, Vec<usize>>,
}

impl Results {
    /// Returns results without remarks. Each of `rows` must serialize to a flat object, whose
    /// fields are texts, numbers, summaries or null.
    ///
    /// # Errors
    ///
    /// A row does not serialize to such an object.
    pub fn new<R: Serialize>(rows: &[R], parts: Vec<Part>) -> Result<Results> {
        let rows = serde_json::from_value(serde_json::to_value(rows)?)
            .context("a row is not a flat object")?;
        Ok(Results { rows, parts, notes: Vec::new(), stored_as: None })
    }
}

impl Record {
    /// Reads the record called `name` in `directory`. `None` if the record's file does not exist.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or its schema has another version.
    pub fn read(directory: &Path, name: &str) -> Result<Option<Record>> {
        let path = directory.join(format!("{name}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let not_one = || format!("{} is not a result of the lab", path.display());
        let record: Value =
            serde_json::from_str(&files::read(&path)?).with_context(not_one)?;
        if record["version"] != VERSION {
            bail!(
                "{} was written by another version of this program: measure it again, or remove it",
                path.display()
            );
        }
        serde_json::from_value(record).with_context(not_one).map(Some)
    }

    /// Returns the part called `name`, if there is one.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Returns the chart of the part called `name`. `None` if there is no such part, or the part
    /// has no chart.
    pub fn chart(&self, name: &str) -> Option<&Chart> {
        self.part(name)?.chart.as_ref()
    }

    /// Returns the rows that contain all of `fields`, which are pairs of name and value.
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

    /// Returns the figure `name` from the last row that contains all of `fields`, which are pairs
    /// of name and value. `None` if there is no such row or figure.
    pub fn figure(&self, fields: &[(&str, &str)], name: &str) -> Option<f64> {
        self.rows(fields).next_back()?.get(name)?.figure()
    }
}
