//! An experiment: a question, a prediction to make, parameters, and a function that measures. Each
//! file in `experiments` defines one experiment.

use anyhow::Result;
use figures::text::in_words;
use serde::Serialize;

use super::model::parameter::{Output, Parameter, by_name};
use super::model::prediction::{Form, Predict, curve};
use super::model::record::{Record, Results};
use super::tools::run::Run;

/// The definition of an experiment: its texts, its parameters, and the function that measures.
#[derive(Serialize)]
pub struct Experiment {
    /// The experiment's name: NAME in `lab NAME`, target/lab/NAME.json and book/results/NAME.json.
    pub name: &'static str,
    /// The question that the list of experiments and the report show. (`predict` asks the reader a
    /// more specific one.)
    pub question: &'static str,
    /// The prediction that the reader is asked for.
    pub predict: Predict,
    /// The quantities, such as numbers of clients, that differ between a quick run and a full run.
    #[serde(serialize_with = "by_name")]
    pub parameters: &'static [&'static Parameter],
    /// The parts of the result: tables, some with a chart.
    pub parts: &'static [Output],
    /// Whether the experiment may be run from a page. An experiment whose quick run takes
    /// minutes, or which needs programs that the reader must build, runs only from a terminal.
    pub from_page: bool,
    /// A function that takes the measurements, and returns the figures with the tables and charts
    /// that show them.
    #[serde(skip)]
    pub run: fn(&Run<'_>) -> Result<Results>,
}

/// Returns an experiment that is measured by `run` and may be run from a page. All other fields are
/// empty; the file that defines the experiment sets them.
pub(crate) const fn measured_by(run: fn(&Run<'_>) -> Result<Results>) -> Experiment {
    Experiment {
        name: "",
        question: "",
        predict: curve("", "", ""),
        parameters: &[],
        parts: &[],
        from_page: true,
        run,
    }
}

impl Experiment {
    /// Returns the answer that the record gives to the prediction's question, in words. `None`
    /// if the question asks for a curve, or the record lacks the figures.
    pub fn answered(&self, record: &Record) -> Option<String> {
        match self.predict.form {
            Form::Choice { answer, .. } => Some(answer(record)?.1),
            Form::Number { unit, answer } => {
                Some(format!("{} {unit}", in_words(answer(record)?)))
            }
            Form::Curve { .. } => None,
        }
    }
}
