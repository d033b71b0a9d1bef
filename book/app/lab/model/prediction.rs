//! Predictions that a reader makes before seeing a result: the forms of questions, and the
//! answers, which are stored in target/lab/predictions.json as
//! `{NAME: {"prediction": ANSWER, "when": "…"}}`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use manuscript::files;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::paths::Paths;

/// A question to the reader, and the form of its answer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Predict {
    /// The text of the question.
    pub ask: &'static str,
    /// Whether the reader answers with an option, a number or a line in a chart.
    #[serde(flatten)]
    pub form: Form,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum Form {
    /// The answer is one of several options.
    Choice {
        /// The texts of the options.
        options: &'static [&'static str],
        /// A function that returns the index of the option that a record confirms, and the result
        /// in words. `None` if the record lacks the figures.
        #[serde(skip)]
        answer: fn(&Record) -> Option<(usize, String)>,
    },
    /// The answer is a number that the reader enters.
    Number {
        /// The number's unit, such as `µs`.
        unit: &'static str,
        /// A function that returns the measured number from a record, or `None` if the record lacks
        /// it.
        #[serde(skip)]
        answer: fn(&Record) -> Option<f64>,
    },
    /// The answer is a line drawn into a chart, with a value for each x of the chart.
    Curve {
        /// The name of the part of the result that has the chart.
        chart: &'static str,
        /// The name of the line to predict.
        line: &'static str,
    },
}

/// Returns a question that asks for one of several options.
pub(crate) const fn choice(
    ask: &'static str,
    options: &'static [&'static str],
    answer: fn(&Record) -> Option<(usize, String)>,
) -> Predict {
    Predict { ask, form: Form::Choice { options, answer } }
}

/// Returns a question that asks for a number.
pub(crate) const fn number(
    ask: &'static str,
    unit: &'static str,
    answer: fn(&Record) -> Option<f64>,
) -> Predict {
    Predict { ask, form: Form::Number { unit, answer } }
}

/// Returns a question that asks for a line in a chart.
pub(crate) const fn curve(
    ask: &'static str,
    chart: &'static str,
    line: &'static str,
) -> Predict {
    Predict { ask, form: Form::Curve { chart, line } }
}

/// Returns the index of the range that contains `value`, for use as the index of an option.
/// The ranges lie below, between and above `ends`, which are sorted.
pub(crate) fn range(value: f64, ends: &[f64]) -> usize {
    ends.iter().filter(|end| value >= **end).count()
}

/// A reader's answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The index of the option that the reader has chosen.
    Choice(usize),
    /// The number, in the question's unit.
    Number(f64),
    /// The points (x, y) of a line, in the units of the chart, from left to right.
    Curve(Vec<(f64, f64)>),
}

/// A reader's answer to the question of an experiment, and the time at which the reader gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredPrediction {
    /// The reader's answer, given before the experiment was run.
    pub prediction: Answer,
    /// The time at which the reader answered, as text in the form in which the page sends it.
    pub when: String,
}

/// The most points of a curve, more than any chart has values of x.
const MAX_POINTS: usize = 64;

/// The lock that is held while the file of predictions is read, changed and written, because two
/// pages may send predictions at the same time.
static STORING: Mutex<()> = Mutex::new(());

/// Returns all stored predictions. The key is the name of the experiment.
pub fn predictions(paths: &Paths) -> Result<BTreeMap<String, StoredPrediction>> {
    let path = path(paths);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(&files::read(&path)?)
        .with_context(|| format!("{} is not a file of predictions", path.display()))
}

/// Stores a prediction for the experiment `name`, in place of an earlier prediction for it.
///
/// # Errors
///
/// The answer does not have the form that the experiment asks for, or the file cannot be written.
pub(crate) fn store(
    paths: &Paths,
    name: &str,
    form: &Form,
    given: StoredPrediction,
) -> Result<()> {
    ensure!(fits(form, &given.prediction), "this does not answer the question");
    ensure!(given.when.len() <= 64, "this is not a time");
    let _alone = STORING.lock().unwrap_or_else(PoisonError::into_inner);
    // A file that cannot be read is replaced; otherwise, every later prediction would be lost.
    let mut all = predictions(paths).unwrap_or_default();
    all.insert(name.to_owned(), given);
    files::replace(&path(paths), &(serde_json::to_string_pretty(&all)? + "\n"))
}

fn fits(form: &Form, answer: &Answer) -> bool {
    match (form, answer) {
        (Form::Choice { options, .. }, Answer::Choice(at)) => *at < options.len(),
        (Form::Number { .. }, Answer::Number(number)) => number.is_finite(),
        (Form::Curve { .. }, Answer::Curve(points)) => {
            let drawn = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && y > 0.0;
            (1..=MAX_POINTS).contains(&points.len()) && points.iter().all(drawn)
        }
        _ => false,
    }
}

fn path(paths: &Paths) -> PathBuf {
    paths.own().join("predictions.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_the_form_that_was_asked_for() {
        let choice = Form::Choice { options: &["a", "b"], answer: |_| None };
        let curve = Form::Curve { chart: "c", line: "l" };
        for (form, answer, expected) in [
            (&choice, Answer::Choice(1), true),
            (&choice, Answer::Choice(2), false),
            (&choice, Answer::Number(1.0), false),
            (&curve, Answer::Curve(vec![(1.0, 2.0)]), true),
            (&curve, Answer::Curve(vec![]), false),
            (&curve, Answer::Curve(vec![(1.0, f64::NAN)]), false),
        ] {
            assert_eq!(fits(form, &answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn answers_as_a_page_sends_them() {
        for (text, answer) in [
            (r#"{"choice":1}"#, Answer::Choice(1)),
            (r#"{"number":2.5}"#, Answer::Number(2.5)),
            (r#"{"curve":[[1,2]]}"#, Answer::Curve(vec![(1.0, 2.0)])),
        ] {
            assert_eq!(serde_json::from_str::<Answer>(text).ok(), Some(answer), "{text}");
        }
    }
}
