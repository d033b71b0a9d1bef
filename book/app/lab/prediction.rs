//! What a reader predicts before seeing a result: the question's form, and the answers,
//! kept in target/lab/predictions.json as `{NAME: {"prediction": ANSWER, "when": "…"}}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::experiment::Experiment;
use super::record::{self, Record};
use crate::house::House;

/// What is asked, and in which form the answer comes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Predict {
    /// The question.
    pub ask: &'static str,
    /// The answer's form.
    #[serde(flatten)]
    pub form: Form,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum Form {
    /// One of these.
    Choice {
        /// What there is to choose from.
        options: &'static [&'static str],
        /// Which of them a result says, and what it says in words.
        #[serde(skip)]
        answer: fn(&Record) -> Option<(usize, String)>,
    },
    /// So many.
    Number {
        /// Of what, as in `µs`.
        unit: &'static str,
        /// How many a result says.
        #[serde(skip)]
        answer: fn(&Record) -> Option<f64>,
    },
    /// A line drawn into a chart, over its x positions.
    Curve {
        /// The part's name.
        chart: &'static str,
        /// Which of its lines is predicted.
        line: &'static str,
    },
}

/// What a reader has said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The place of an option, from 0.
    Choice(usize),
    /// In the unit that was asked for.
    Number(f64),
    /// Points in the chart's own units, from left to right.
    Curve(Vec<(f64, f64)>),
}

/// An answer, and when it was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Given {
    /// What.
    pub prediction: Answer,
    /// As whoever keeps it writes times.
    pub when: String,
}

/// More points than any chart has positions.
const MOST_POINTS: usize = 64;

/// Everything that this reader has predicted.
pub fn predictions(house: &House) -> Result<BTreeMap<String, Given>> {
    let path = path(house);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what the lab writes", path.display()))
}

/// Keeps a prediction, if it is of the form that was asked for. A later one replaces it.
pub fn predict(house: &House, experiment: &Experiment, given: Given) -> Result<()> {
    fits(&experiment.predict.form, &given.prediction)?;
    ensure!(given.when.len() <= 64, "that is no time");
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // What somebody has spoilt is begun anew: nothing could be kept otherwise.
    let mut all = predictions(house).unwrap_or_default();
    all.insert(experiment.name.to_owned(), given);
    let path = path(house);
    fs::create_dir_all(path.parent().unwrap_or(&path))?;
    record::write(&path, &(serde_json::to_string_pretty(&all)? + "\n"))
}

/// Two pages may have theirs kept at once: one after another reads, changes and writes.
static WRITING: Mutex<()> = Mutex::new(());

fn fits(form: &Form, answer: &Answer) -> Result<()> {
    let good = match (form, answer) {
        (Form::Choice { options, .. }, Answer::Choice(at)) => *at < options.len(),
        (Form::Number { .. }, Answer::Number(number)) => number.is_finite(),
        (Form::Curve { .. }, Answer::Curve(points)) => {
            let drawn = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && y > 0.0;
            (1..=MOST_POINTS).contains(&points.len()) && points.iter().all(drawn)
        }
        _ => false,
    };
    ensure!(good, "that is no answer to what was asked");
    Ok(())
}

fn path(house: &House) -> PathBuf {
    super::own(house).join("predictions.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_of_the_form_that_was_asked_for() {
        let choice = Form::Choice { options: &["a", "b"], answer: |_| None };
        let curve = Form::Curve { chart: "c", line: "l" };
        assert!(fits(&choice, &Answer::Choice(1)).is_ok());
        assert!(fits(&choice, &Answer::Choice(2)).is_err());
        assert!(fits(&choice, &Answer::Number(1.0)).is_err());
        assert!(fits(&curve, &Answer::Curve(vec![(1.0, 2.0)])).is_ok());
        assert!(fits(&curve, &Answer::Curve(vec![])).is_err());
        assert!(fits(&curve, &Answer::Curve(vec![(1.0, f64::NAN)])).is_err());
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
