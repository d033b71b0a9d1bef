//! The recorded results, to be looked things up in. What is not recorded, or not yet, is
//! `None`: a table has a dash there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::lab::Record;
#[cfg(target_os = "linux")]
use crate::lab::{EXPERIMENTS, Experiment};

/// Every recorded experiment, by its name.
pub(super) struct Results(BTreeMap<String, Record>);

impl Results {
    /// All that is in the directory.
    pub(super) fn read(dir: &Path) -> Result<Results> {
        let mut results = BTreeMap::new();
        for path in crate::checks::files(dir, "json")? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if let Some(record) = Record::read(dir, &name)? {
                results.insert(name.into_owned(), record);
            }
        }
        Ok(Results(results))
    }

    /// What the recorded results say to what the lab asks, each under its experiment's name.
    #[cfg(target_os = "linux")]
    pub(super) fn answers(&self) -> String {
        let answer = |experiment: &Experiment| {
            let name = experiment.name;
            let said = experiment.answered(self.0.get(name)?)?;
            Some(format!(
                "<!-- ANCHOR: {name} -->\n{said}\n<!-- ANCHOR_END: {name} -->\n"
            ))
        };
        EXPERIMENTS.iter().copied().filter_map(answer).collect()
    }

    /// The last row of an experiment in which all these fields are so.
    pub(super) fn row(
        &self,
        experiment: &str,
        fields: &[(&str, &str)],
    ) -> Option<&Value> {
        self.0.get(experiment)?.row(fields)
    }

    /// A number of that row: itself, or the median of its repeats.
    pub(super) fn number(
        &self,
        experiment: &str,
        fields: &[(&str, &str)],
        name: &str,
    ) -> Option<f64> {
        self.0.get(experiment)?.figure(fields, &format!("/{name}"))
    }
}

/// A cell of a table.
pub(super) fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Microseconds as a reader wants them.
pub(super) fn microseconds(number: f64) -> String {
    match number {
        n if n < 10.0 => format!("{n:.1} µs"),
        n => format!("{n:.0} µs"),
    }
}
