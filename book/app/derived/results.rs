//! The recorded results, to be looked things up in. What is not recorded is `None`: a table
//! has a dash there.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::lab::pages::records;
use crate::lab::{EXPERIMENTS, Experiment, Record};
use crate::paths::Paths;

/// Every recorded result, by its name.
pub(super) struct Results(BTreeMap<String, Record>);

impl Results {
    /// Reads all of them.
    pub(super) fn read(paths: &Paths) -> Result<Results> {
        records(paths).map(Results)
    }

    /// Returns what the recorded results answer to the lab's questions, each under its
    /// experiment's name.
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

    /// Returns a figure of the last row of an experiment in which all these fields are so.
    pub(super) fn figure(
        &self,
        experiment: &str,
        fields: &[(&str, &str)],
        name: &str,
    ) -> Option<f64> {
        self.0.get(experiment)?.figure(fields, name)
    }
}

/// A cell of a table.
pub(super) fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}
