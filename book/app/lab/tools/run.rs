//! A run of an experiment: how much it measures, and how it shows what there is so far.

use anyhow::{Context, Result};
use serde::Serialize;

use super::progress::{Event, Progress};
use crate::lab::model::parameter::Parameter;
use crate::lab::model::record::{Part, Record, Results};
use crate::lab::pages;
use crate::paths::Paths;

/// A run that goes on.
pub struct Run<'a> {
    pub paths: &'a Paths,
    /// The experiment's name.
    pub name: &'static str,
    /// It measures as much as the book shows.
    pub full: bool,
    /// Its result goes into the book, and not into target/lab.
    pub record: bool,
    pub progress: Progress,
}

impl Run<'_> {
    /// Returns the values of a parameter in this run.
    pub fn list(&self, parameter: &'static Parameter) -> &'static [usize] {
        if self.full { parameter.full } else { parameter.quick }
    }

    /// Returns the value of a parameter that has one.
    pub fn one(&self, parameter: &'static Parameter) -> usize {
        self.list(parameter).first().copied().unwrap_or(1)
    }

    /// Announces the number of steps.
    pub fn begin(&self, steps: usize) {
        self.progress.begin(steps);
    }

    /// Announces the step that begins now. Nothing is measured at this moment.
    pub fn step(&self, what: &str) {
        self.progress.step(what);
    }

    /// Measures a row in each cell, a step each, and shows the charts after every one.
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

    /// Shows the charts so far, if a program reads. Nothing is measured at this moment.
    pub fn partial(&self, parts: impl FnOnce() -> Vec<Part>) {
        if self.progress.events {
            let mut parts = parts();
            // A chart in which nothing has been measured shows nothing yet.
            parts.retain(|part| {
                let mut series = part.chart.iter().flat_map(|chart| &chart.series);
                series.any(|series| !series.published && !series.points.is_empty())
            });
            self.charts(&parts);
        }
    }

    /// Shows everything: charts and tables, or only the tables at a terminal.
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

    /// Sends the charts, each over what the book has recorded.
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
