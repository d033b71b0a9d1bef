//! A prediction beside a result: what the reader said, and what this machine says. The page,
//! the report and the terminal all have it from here.

use std::fmt::Write;

use super::chart::escaped;
use super::experiment::Experiment;
use super::prediction::{Answer, Form, Given};
use super::record::Record;
use super::spread::thousands;

/// Who is so near has said it.
const NEAR: f64 = 1.1;

/// What was said, as far as anything was, and what was measured, as far as anything was.
#[derive(Debug, Default)]
pub struct Verdict {
    said: Option<String>,
    measured: Option<String>,
    /// How far the one is from the other.
    apart: Option<String>,
    /// The same for a curve: where, what was drawn there, and what was measured.
    line: &'static str,
    points: Vec<(f64, f64, f64)>,
}

impl Verdict {
    /// Of one experiment.
    pub fn of(
        experiment: &Experiment,
        given: Option<&Given>,
        record: Option<&Record>,
    ) -> Verdict {
        let said = given.map(|given| &given.prediction);
        let mut verdict = Verdict::default();
        match experiment.predict.form {
            Form::Choice { options, answer } => {
                let quoted = |at: usize| format!("“{}”", options.get(at).unwrap_or(&"?"));
                let chosen = said.and_then(|said| match said {
                    Answer::Choice(at) => Some(*at),
                    _ => None,
                });
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
                let with_unit = |number| format!("{} {unit}", figure(number));
                let number = said.and_then(|said| match said {
                    Answer::Number(number) => Some(*number),
                    _ => None,
                });
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
                let chart = record.and_then(|record| record.part(chart)?.chart.as_ref());
                let real = chart.and_then(|chart| {
                    chart.series.iter().find(|series| series.name == line)
                });
                let Some(real) = real else { return verdict };
                verdict.points = drawn
                    .iter()
                    .filter_map(|&(x, guess)| {
                        let (_, real) = real.points.iter().find(|(at, _)| *at == x)?;
                        Some((x, guess, *real))
                    })
                    .collect();
                let worst = verdict.points.iter().max_by(|a, b| {
                    let far = |p: &(f64, f64, f64)| (p.1 / p.2).ln().abs();
                    far(a).total_cmp(&far(b))
                });
                if let Some(&(x, guess, real)) = worst {
                    let end = |at: Option<&(f64, f64, f64)>| {
                        let &(x, _, real) = at?;
                        Some(format!("{} at {}", figure(real), figure(x)))
                    };
                    let ends = [end(verdict.points.first()), end(verdict.points.last())];
                    verdict.measured =
                        Some(ends.into_iter().flatten().collect::<Vec<_>>().join(", "));
                    let (apart, x) = (apart(guess, real), figure(x));
                    verdict.apart =
                        Some(format!("Where you are farthest off, at {x}: {apart}."));
                }
            }
        }
        verdict
    }

    /// For a page; nothing if there is nothing to say.
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
                let cells = [figure(x), figure(guess), figure(real), apart(guess, real)];
                let _ = writeln!(html, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
            }
            html += "</tbody></table></div>\n";
        }
        html
    }

    /// For a terminal; nothing if there is nothing to say.
    pub fn text(&self, asked: &str) -> String {
        let Some(measured) = &self.measured else { return String::new() };
        let mut text = format!("asked: {asked}\n");
        if let Some(said) = &self.said {
            let _ = writeln!(text, "you said: {said}");
        }
        for &(x, guess, real) in &self.points {
            let (x, apart) = (figure(x), apart(guess, real));
            let (guess, real) = (figure(guess), figure(real));
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

impl Experiment {
    /// What this result says to what the experiment asks; a curve is too much to be said.
    pub fn answered(&self, record: &Record) -> Option<String> {
        match self.predict.form {
            Form::Choice { answer, .. } => Some(answer(record)?.1),
            Form::Number { unit, answer } => {
                Some(format!("{} {unit}", figure(answer(record)?)))
            }
            Form::Curve { .. } => None,
        }
    }
}

/// How far a number is from another.
fn apart(guess: f64, real: f64) -> String {
    if guess <= 0.0 || real <= 0.0 {
        return match guess == real {
            true => "just so".to_owned(),
            false => format!("{} off", figure((guess - real).abs())),
        };
    }
    let times = figure((guess / real).max(real / guess));
    match () {
        () if guess == real => "just so".to_owned(),
        () if guess > real * NEAR => format!("{times} times too much"),
        () if real > guess * NEAR => format!("{times} times too little"),
        () => "within a tenth".to_owned(),
    }
}

/// A number with three digits, or all that there are before the point.
pub(super) fn figure(number: f64) -> String {
    let size = number.abs();
    if size >= 100.0 {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(size.round() as usize));
    }
    let places = match size {
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s > 0.0 => 2 + (-s.log10()).ceil() as usize,
        _ => 0,
    };
    let text = format!("{number:.*}", places.min(12));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_three_digits() {
        for (number, text) in [
            (0.0, "0"),
            (0.631, "0.631"),
            (0.00045, "0.00045"),
            (3.0, "3"),
            (3.456, "3.46"),
            (34.56, "34.6"),
            (1234.5, "1,235"),
            (-7.0, "-7"),
        ] {
            assert_eq!(figure(number), text);
        }
    }

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
