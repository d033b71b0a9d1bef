//! What an experiment is: a question, something to predict, how much is measured, and the
//! function that measures it. Each file of an experiment has one of these.

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::model::parameter::{Output, Parameter, by_name};
use super::model::prediction::{Form, Predict, curve};
use super::model::record::{Record, Results};
use super::tools::run::Run;
use crate::text::in_words;

/// Something that can be measured.
#[derive(Serialize)]
pub struct Experiment {
    /// As in `lab NAME`, target/lab/NAME.json and book/results/NAME.json.
    pub name: &'static str,
    /// The question that it answers.
    pub question: &'static str,
    /// What to predict before it answers.
    pub predict: Predict,
    /// How much is measured.
    #[serde(serialize_with = "by_name")]
    pub parameters: &'static [&'static Parameter],
    /// The parts of its result, each with a table.
    pub parts: &'static [Output],
    /// Whether it may be run from the book's pages. One that takes minutes however little it
    /// measures, or needs programs that a reader must build, is for a terminal.
    pub from_page: bool,
    /// Measures everything.
    #[serde(skip)]
    pub run: fn(&Run<'_>) -> Result<Results>,
    /// Takes one sample, in a process of its own: of what, and how many.
    #[serde(skip)]
    pub sample: Option<fn(&str, usize) -> Result<Value>>,
}

/// An experiment that is measured by `run`, may be run from the pages, and takes no samples in
/// processes of their own. The rest is for its file to say.
pub(crate) const fn measured_by(run: fn(&Run<'_>) -> Result<Results>) -> Experiment {
    Experiment {
        name: "",
        question: "",
        predict: curve("", "", ""),
        parameters: &[],
        parts: &[],
        from_page: true,
        run,
        sample: None,
    }
}

impl Experiment {
    /// Returns what this result answers, in words; a curve has none.
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
