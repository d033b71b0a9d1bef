//! A run of an experiment: the values of its parameters, and the output of its results.

use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use super::progress::{Event, Progress};
use crate::lab::model::parameter::Parameter;
use crate::lab::model::record::{Part, Record, Results};
use crate::lab::pages;
use crate::paths::Paths;

/// A run of an experiment that is in progress.
pub struct Run<'a> {
    pub paths: &'a Paths,
    /// The experiment's name.
    pub name: &'static str,
    /// Whether the run is a full run, which measures as much as the book shows.
    pub full: bool,
    /// Whether the result is stored as the book's recorded result, in book/results, instead of in
    /// target/lab.
    pub record: bool,
    pub progress: Progress,
    pub start: Instant,
}

impl Run<'_> {
    /// Returns the values of a parameter in this run.
    pub fn list(&self, parameter: &'static Parameter) -> &'static [usize] {
        if self.full { parameter.full } else { parameter.quick }
    }

    /// Returns the first value of a parameter in this run, for parameters with a single value.
    pub fn one(&self, parameter: &'static Parameter) -> usize {
        self.list(parameter).first().copied().unwrap_or(1)
    }

    /// Announces the number of the run's steps.
    pub fn begin(&self, steps: usize) {
        self.progress.begin(steps);
    }

    /// Announces the step that begins now. The caller announces a step between measurements, never
    /// during one.
    pub fn step(&self, what: &str) {
        self.progress.step(what);
    }

    /// Measures a row for each element of `cells`, such as a server with a number of clients. Each
    /// measurement is a step of the run, with the name that the function `name` returns. After each
    /// step, shows the charts that `parts` makes of the rows measured so far.
    pub fn rows<C, R: Serialize>(
        &self,
        cells: Vec<C>,
        name: impl Fn(&C) -> String,
        measure: impl Fn(C) -> Result<R>,
        parts: impl Fn(&[R]) -> Vec<Part>,
    ) -> Result<Results> {
        self.begin(cells.len());
        let mut rows = Vec::with_capacity(cells.len());
        for cell in cells {
            let name = name(&cell);
            self.step(&name);
            rows.push(measure(cell).with_context(|| format!("with {name}"))?);
            self.partial(|| parts(&rows));
        }
        Results::new(&rows, parts(&rows))
    }

    /// Shows the charts of the rows measured so far, if the run prints the events that a page of
    /// the book follows. The caller calls this method between measurements, never during one.
    pub fn partial(&self, parts: impl FnOnce() -> Vec<Part>) {
        if self.progress.events {
            let mut parts = parts();
            // A chart without a measured point would show nothing.
            parts.retain(|part| {
                let mut series = part.chart.iter().flat_map(|chart| &chart.series);
                series.any(|series| !series.published && !series.points.is_empty())
            });
            self.charts(&parts);
        }
    }

    /// Shows the result of the run: charts and tables as events, or only the tables at a terminal.
    pub fn show(&self, parts: &[Part]) {
        self.charts(parts);
        for part in parts {
            let Part { name, table, .. } = part;
            if self.progress.events {
                let html = pages::table(part);
                self.progress.say(&Event::Table { name, html: &html });
            } else {
                println!("{table}");
            }
        }
    }

    /// Prints each chart as an event, drawn over the book's recorded chart. Prints nothing if the
    /// run does not print events.
    fn charts(&self, parts: &[Part]) {
        if !self.progress.events {
            return;
        }
        let recorded = Record::read(&self.paths.recorded(), self.name);
        let recorded = recorded.unwrap_or_default();
        for part in parts {
            if let Some(svg) = pages::chart(part, recorded.as_ref()) {
                self.progress.say(&Event::Chart { name: &part.name, svg: &svg });
            }
        }
    }
}
