//! The recorded results, to be looked things up in. What is not recorded, or not yet, is
//! `None`: a table has a dash there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The rows of every recorded experiment, by its name.
pub(super) struct Results(BTreeMap<String, Vec<Value>>);

impl Results {
    /// All that is in the directory.
    pub(super) fn read(dir: &Path) -> Result<Results> {
        let mut results = BTreeMap::new();
        for path in crate::checks::files(dir, "json")? {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let record: Value = serde_json::from_str(&text)
                .with_context(|| format!("{} is no JSON", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let rows = record["rows"].as_array().cloned().unwrap_or_default();
            results.insert(name.into_owned(), rows);
        }
        Ok(Results(results))
    }

    /// The last row of an experiment in which all these fields are so.
    pub(super) fn row(
        &self,
        experiment: &str,
        fields: &[(&str, Value)],
    ) -> Option<&Value> {
        self.0.get(experiment)?.iter().rev().find(|row| {
            fields.iter().all(|(name, value)| {
                row[*name] == *value
                    || row[*name].as_f64().is_some_and(|n| Some(n) == value.as_f64())
            })
        })
    }

    /// A number of that row: itself, or the median of its repeats.
    pub(super) fn number(
        &self,
        experiment: &str,
        fields: &[(&str, Value)],
        name: &str,
    ) -> Option<f64> {
        let value = &self.row(experiment, fields)?[name];
        value.as_f64().or_else(|| value["median"].as_f64())
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
