//! Looks up figures in the recorded results. A figure that is not recorded is `None`, for
//! which a table shows a dash.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::lab::pages::records;
use crate::lab::{EXPERIMENTS, Experiment, Record};
use crate::paths::Paths;

/// All recorded results. The key is the name of the experiment.
pub(super) struct Results(BTreeMap<String, Record>);

impl Results {
    pub(super) fn read(paths: &Paths) -> Result<Results> {
        records(paths).map(Results)
    }

    /// Returns the answers that the recorded results give to the experiments' questions. Each
    /// answer is between the marks of an anchor with the experiment's name.
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

    /// Returns the figure `name` from the last row of the experiment's result that
    /// contains all of `fields`, which are pairs of name and value. `None` if there is
    /// no such result, row or figure.
    pub(super) fn figure(
        &self,
        experiment: &str,
        fields: &[(&str, &str)],
        name: &str,
    ) -> Option<f64> {
        self.0.get(experiment)?.figure(fields, name)
    }
}

/// Returns a table's cell: the text, or a dash for `None`.
pub(super) fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}
