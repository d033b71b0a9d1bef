//! A verdict: the reader's prediction beside this machine's result. The page, the report and the
//! terminal all show the same verdict.

use std::fmt::Write;

use figures::text::{escaped, in_words};

use super::experiment::Experiment;
use super::model::prediction::{Answer, Form, StoredPrediction};
use super::model::record::Record;

/// A prediction that differs from the result by at most this factor counts as right.
const NEAR: f64 = 1.1;

/// A prediction, a result, and the difference between the two. Each of them may be missing.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The prediction in words, if the reader has predicted.
    said: Option<String>,
    /// The result in words, if there is one.
    measured: Option<String>,
    /// The difference between prediction and result in words, if there are both.
    apart: Option<String>,
    /// The name of the chart's line that the reader has predicted. Empty if the question does not
    /// ask for a line, or the reader has not predicted.
    line: &'static str,
    /// The points of that line: x, the predicted value, and the measured value. Empty if there is
    /// no predicted line or no measured one.
    points: Vec<(f64, f64, f64)>,
}

impl Verdict {
    /// Compares the prediction `given` with the result in `record`.
    pub fn of(
        experiment: &Experiment,
        given: Option<&StoredPrediction>,
        record: Option<&Record>,
    ) -> Verdict {
        let said = given.map(|given| &given.prediction);
        let mut verdict = Verdict::default();
        match experiment.predict.form {
            Form::Choice { options, answer } => {
                let quoted = |at: usize| format!("“{}”", options.get(at).unwrap_or(&"?"));
                let chosen =
                    if let Some(Answer::Choice(at)) = said { Some(*at) } else { None };
                verdict.said = chosen.map(quoted);
                if let Some((right, figure)) = record.and_then(answer) {
                    verdict.measured = Some(format!("{figure}, so {}", quoted(right)));
                    verdict.apart = chosen.map(|chosen| match chosen == right {
                        true => "As you said.".to_owned(),
                        false => "It is not what you said.".to_owned(),
                    });
                }
            }
            Form::Number { unit, answer } => {
                let with_unit = |number| format!("{} {unit}", in_words(number));
                let number = if let Some(Answer::Number(number)) = said {
                    Some(*number)
                } else {
                    None
                };
                verdict.said = number.map(with_unit);
                if let Some(real) = record.and_then(answer) {
                    verdict.measured = Some(with_unit(real));
                    verdict.apart = number.map(|number| {
                        let apart = apart(number, real);
                        format!("{}{}.", apart[..1].to_uppercase(), &apart[1..])
                    });
                }
            }
            Form::Curve { chart, line } => {
                let Some(Answer::Curve(drawn)) = said else { return verdict };
                verdict.said = Some(format!("the line that you drew for {line}"));
                verdict.line = line;
                let chart = record.and_then(|record| record.chart(chart));
                let real = chart.and_then(|chart| {
                    chart.series.iter().find(|series| series.name == line)
                });
                let Some(real) = real else { return verdict };
                let point = |&(x, guess): &(f64, f64)| {
                    let (_, real) = real.points.iter().find(|(at, _)| *at == x)?;
                    Some((x, guess, *real))
                };
                verdict.points = drawn.iter().filter_map(point).collect();
                verdict.compare_curve();
            }
        }
        verdict
    }

    fn compare_curve(&mut self) {
        let points = &self.points;
        let far = |p: &(f64, f64, f64)| (p.1 / p.2).ln().abs();
        let worst = points.iter().max_by(|a, b| far(a).total_cmp(&far(b)));
        let (Some(first), Some(last), Some(worst)) =
            (points.first(), points.last(), worst)
        else {
            return;
        };
        let ends = [first, last].map(|&(x, _, real)| {
            let [real, x] = [real, x].map(in_words);
            format!("{real} at {x}")
        });
        let (apart, x) = (apart(worst.1, worst.2), in_words(worst.0));
        self.measured = Some(ends.join(", "));
        self.apart = Some(format!("Where you are farthest off, at {x}: {apart}."));
    }

    /// Returns the verdict as HTML. Empty if there is neither a prediction nor a result.
    pub fn html(&self) -> String {
        let mut html = String::new();
        let mut line = |what: &str, text: &str, more: &str| {
            let (text, more) = (escaped(text), escaped(more));
            // Writing to a String cannot fail.
            let _ = writeln!(html, "<p><strong>{what}:</strong> {text}. {more}</p>");
        };
        if let Some(said) = &self.said {
            line("You said", said, "");
        }
        if let Some(measured) = &self.measured {
            let apart = self.apart.as_deref().unwrap_or_default();
            line("This machine says", measured, apart);
        }
        if !self.points.is_empty() {
            let _ = writeln!(
                html,
                "<div class=\"table-wrapper\"><table><thead><tr><th>{}</th><th>you said</th>\
                 <th>this machine says</th><th>you are</th></tr></thead><tbody>",
                escaped(self.line)
            );
            for &(x, guess, real) in &self.points {
                let [at, said, measured] = [x, guess, real].map(in_words);
                let cells = [at, said, measured, apart(guess, real)];
                let _ = writeln!(html, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
            }
            html += "</tbody></table></div>\n";
        }
        html
    }

    /// Returns the verdict as plain text, which begins with the question `asked`. Empty if there is
    /// no result.
    pub fn text(&self, asked: &str) -> String {
        let Some(measured) = &self.measured else { return String::new() };
        let mut text = format!("asked: {asked}\n");
        if let Some(said) = &self.said {
            let _ = writeln!(text, "you said: {said}");
        }
        for &(x, guess, real) in &self.points {
            let apart = apart(guess, real);
            let [x, guess, real] = [x, guess, real].map(in_words);
            let _ = writeln!(
                text,
                "  at {x} you said {guess}, this machine says {real}: {apart}"
            );
        }
        let apart = self.apart.as_deref().unwrap_or_default();
        let _ = writeln!(text, "this machine says: {measured}. {apart}");
        text
    }
}

/// Returns in words how far the predicted value `guess` is from the measured value `real`.
fn apart(guess: f64, real: f64) -> String {
    let times = || in_words((guess / real).max(real / guess));
    match () {
        () if guess == real => "just so".to_owned(),
        () if guess <= 0.0 || real <= 0.0 => {
            format!("{} off", in_words((guess - real).abs()))
        }
        () if guess > real * NEAR => format!("{} times too much", times()),
        () if real > guess * NEAR => format!("{} times too little", times()),
        () => "within a tenth".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_guess_is() {
        for (guess, real, text) in [
            (3.0, 3.0, "just so"),
            (100.0, 95.0, "within a tenth"),
            (100.0, 50.0, "2 times too much"),
            (25.0, 100.0, "4 times too little"),
            (0.0, 0.0, "just so"),
            (-5.0, 100.0, "105 off"),
        ] {
            assert_eq!(apart(guess, real), text, "{guess} {real}");
        }
    }
}
