//! A result as it is kept: one's own in target/lab/NAME.json, the book's in
//! book/results/NAME.json, both alike. Everything that a page shows of a result is drawn
//! from its record: `redraw` makes book/src/generated/ anew, and a check compares.
//!
//! ```text
//! {"experiment": "idle", "command": "cargo run --release -- lab idle --full", "mode": "full",
//!  "parameters": {"repeats": [7], …}, "machine": {…},
//!  "rows": […]      what was measured, each figure with its median, least and most
//!  "parts": [{"name": "idle", "table": "| server | …", "chart": {"kind": "line", "series": […], …}, …}]}
//! ```
//!
//! What an older record does not have (mode, time, parameters, some limits) was not recorded then.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{Options, Parser, html};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Lab;
use super::chart::Chart;
use super::machine::Machine;
use crate::house::House;

/// How much was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// So that it takes less than twenty seconds.
    Quick,
    /// So that the book may show it.
    Full,
}

/// A result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Of which experiment.
    pub experiment: String,
    /// What makes it again.
    pub command: String,
    /// How much was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// When, as in `Tue, 24 Nov 2026 12:00:00 GMT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// And in detail.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Vec<usize>>,
    /// Where.
    pub machine: Machine,
    /// What was measured.
    pub rows: Value,
    /// What is shown of it.
    pub parts: Vec<Part>,
}

/// What the pages show of a result: a table, and perhaps a chart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    /// Of the file that a page includes.
    pub name: String,
    /// In Markdown.
    pub table: String,
    /// Beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Measured once, or without figures; else these are medians of several repeats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

impl Part {
    /// A part of medians.
    pub(super) fn new(name: &str, table: String, chart: Option<Chart>) -> Part {
        Part { name: name.to_owned(), table, chart, once: false }
    }

    /// A part of what was measured once, or of what has no figures.
    pub(super) fn once(name: &str, table: String) -> Part {
        Part { once: true, ..Part::new(name, table, None) }
    }

    /// The table in HTML.
    pub fn html(&self) -> String {
        let mut out = String::new();
        html::push_html(&mut out, Parser::new_ext(&self.table, Options::ENABLE_TABLES));
        out
    }
}

/// The directory of the reader's own results.
pub fn own(house: &House) -> PathBuf {
    house.checkout().join("target/lab")
}

/// The directory of the results that the book shows.
pub fn recorded(house: &House) -> PathBuf {
    house.book().join("results")
}

impl Record {
    /// The record called `name` in this directory, if there is one.
    pub fn read(directory: &Path, name: &str) -> Result<Option<Record>> {
        let path = directory.join(format!("{name}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let record = serde_json::from_str(&text)
            .with_context(|| format!("{} is no result of the lab", path.display()))?;
        Ok(Some(record))
    }

    /// The part of this name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// The last row in which these fields say this.
    pub fn row(&self, fields: &[(&str, &str)]) -> Option<&Value> {
        let says = |value: &Value, text: &str| match value {
            Value::String(own) => own == text,
            Value::Number(number) => {
                text.parse().is_ok_and(|text: Number| text == *number)
            }
            _ => false,
        };
        let mut rows = self.rows.as_array()?.iter().rev();
        rows.find(|row| fields.iter().all(|(name, text)| says(&row[name], text)))
    }

    /// The number in that row to which this JSON pointer points: itself, or the median of
    /// its repeats.
    pub fn figure(&self, fields: &[(&str, &str)], at: &str) -> Option<f64> {
        number(self.row(fields)?.pointer(at)?)
    }

    /// The chart of this part as an SVG, over that of another record.
    pub fn drawn(&self, part: &Part, over: Option<&Record>) -> Option<String> {
        let recorded = over.and_then(|other| other.part(&part.name)?.chart.as_ref());
        Some(part.chart.as_ref()?.svg(&part.name, recorded))
    }

    /// What pages include of this record: the names of files, and what they hold.
    pub fn pages(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for part in &self.parts {
            let Part { name, table, chart, once } = part;
            // The page's script finds by this which experiment a figure is of.
            let mut page = format!(
                "<div class=\"measured\" data-experiment=\"{}\" data-part=\"{name}\">\n\n{table}\n",
                self.experiment
            );
            if let Some(chart) = chart {
                page += &format!(
                    "<figure>\n{{{{#include {name}.svg}}}}\n<figcaption>{}</figcaption>\n</figure>\n\n",
                    chart.caption()
                );
                files.push((format!("{name}.svg"), chart.svg(name, None)));
            }
            let how = if *once { "" } else { ", medians of several repeats" };
            page += &format!(
                "*Recorded with `{}`{how}, on {}. The same command measures yours.*\n\n</div>\n",
                self.command, self.machine
            );
            files.push((format!("{name}.md"), page));
        }
        files
    }
}

/// A number, or the median of what was measured several times.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value["median"].as_f64())
}

/// Everything below book/src/generated/ that comes from results: names and contents.
pub fn drawn(house: &House) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for path in crate::checks::files(&recorded(house), "json")? {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let record = Record::read(&recorded(house), name)?;
        all.extend(record.iter().flat_map(Record::pages));
    }
    Ok(all)
}

/// Writes what the pages show of the recorded results, as they are.
pub(super) fn redraw(house: &House) -> Result<()> {
    for (name, text) in drawn(house)? {
        write(&house.src().join("generated").join(name), &text)?;
    }
    Ok(())
}

/// Keeps a result, and shows it.
pub(super) fn keep<R: Serialize>(
    lab: &Lab<'_>,
    rows: &[R],
    parts: Vec<Part>,
) -> Result<()> {
    let full = if lab.full { " --full" } else { "" };
    let name = lab.experiment.name;
    keep_as(lab, &format!("cargo run --release -- lab {name}{full}"), name, rows, parts)
}

/// The same, made by this command and kept under this name.
pub(super) fn keep_as<R: Serialize>(
    lab: &Lab<'_>,
    command: &str,
    name: &str,
    rows: &[R],
    parts: Vec<Part>,
) -> Result<()> {
    let parameters = lab.experiment.parameters.iter();
    let record = Record {
        experiment: lab.experiment.name.to_owned(),
        command: command.to_owned(),
        mode: Some(if lab.full { Mode::Full } else { Mode::Quick }),
        parameters: parameters
            .map(|parameter| (parameter.name.to_owned(), lab.list(parameter).to_vec()))
            .collect(),
        when: Some(httpdate::fmt_http_date(std::time::SystemTime::now())),
        machine: Machine::this(lab.house),
        rows: serde_json::to_value(rows)?,
        parts,
    };
    let directory = if lab.record { recorded(lab.house) } else { own(lab.house) };
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let kept = directory.join(format!("{name}.json"));
    write(&kept, &(serde_json::to_string_pretty(&record)? + "\n"))?;
    if lab.record {
        for (name, text) in record.pages() {
            write(&lab.house.src().join("generated").join(name), &text)?;
        }
    }
    lab.show(&record.parts, true);
    if lab.progress.events() {
        lab.progress.done(&serde_json::to_value(&record)?);
    } else {
        println!("kept in {}", kept.display());
        if kept == own(lab.house).join(format!("{}.json", lab.experiment.name)) {
            let verdict = super::verdict(lab.house, lab.experiment)?;
            print!("{}", verdict.text(lab.experiment.predict.ask));
        }
    }
    Ok(())
}

/// Writes the whole file: who reads it meanwhile, or after we were ended in the middle,
/// has the old or the new, and never half of it.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
