//! The results of `check`: as text for people, JSON and JUnit for machines.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::case::Case;
use crate::judge::Outcome;

/// One judged case.
#[derive(Debug)]
pub struct Line {
    /// The case.
    pub case: Case,
    /// What it came to.
    pub outcome: Outcome,
}

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// JUnit's XML, which most course and build systems read.
    Junit,
}

/// How many held, were skipped, and failed.
pub fn counts(lines: &[Line]) -> (usize, usize, usize) {
    let count = |test: fn(&Outcome) -> bool| {
        lines.iter().filter(|line| test(&line.outcome)).count()
    };
    (
        count(|outcome| matches!(outcome, Outcome::Held)),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        count(|outcome| matches!(outcome, Outcome::Broken(_))),
    )
}

/// Renders a report.
pub fn render(lines: &[Line], format: Format) -> String {
    match format {
        Format::Text => text(lines),
        Format::Json => json(lines),
        Format::Junit => junit(lines),
    }
}

fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let name = line.case.full_name();
        let _ = match &line.outcome {
            Outcome::Held => writeln!(text, "ok      {name}"),
            Outcome::Skipped(why) => writeln!(text, "skipped {name}: {why}"),
            Outcome::Broken(_) => writeln!(text, "FAILED  {name}"),
        };
    }
    for line in lines {
        if let Outcome::Broken(failure) = &line.outcome {
            let _ = write!(text, "\n── {} ──\n{failure}", line.case.full_name());
        }
    }
    let (held, skipped, broken) = counts(lines);
    let _ =
        writeln!(text, "\n{held} promises kept, {broken} broken, {skipped} not tried");
    for (count, why) in reasons(lines) {
        let _ = writeln!(text, "{count:7} not tried: {why}");
    }
    text
}

/// Why cases were not tried, the most frequent reason first.
fn reasons(lines: &[Line]) -> Vec<(usize, &str)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        if let Outcome::Skipped(why) = &line.outcome {
            *counts.entry(why).or_default() += 1;
        }
    }
    let mut all: Vec<_> = counts.into_iter().map(|(why, count)| (count, why)).collect();
    all.sort_by_key(|(count, _)| Reverse(*count));
    all
}

fn json(lines: &[Line]) -> String {
    let one = |line: &Line| {
        let mut value = serde_json::json!({
            "family": line.case.family,
            "name": line.case.name,
            "kind": line.case.kind.word(),
            "cite": line.case.cite,
            "says": line.case.says,
        });
        match &line.outcome {
            Outcome::Held => value["outcome"] = "held".into(),
            Outcome::Skipped(why) => {
                value["outcome"] = "skipped".into();
                value["why"] = why.as_str().into();
            }
            Outcome::Broken(failure) => {
                value["outcome"] = "broken".into();
                value["expected"] = failure.expected.as_str().into();
                value["came"] = failure.came.as_str().into();
                value["transcript"] = failure.transcript.as_str().into();
                value["start"] = failure.start.as_str().into();
                value["by_hand"] = failure.by_hand.clone().into();
                value["book"] = failure.book.as_str().into();
            }
        }
        value
    };
    let (held, skipped, broken) = counts(lines);
    let report = serde_json::json!({
        "held": held,
        "broken": broken,
        "skipped": skipped,
        "cases": lines.iter().map(one).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn junit(lines: &[Line]) -> String {
    let (_, skipped, broken) = counts(lines);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let total = lines.len();
    let _ = writeln!(
        text,
        "<testsuite name=\"client-suite\" tests=\"{total}\" failures=\"{broken}\" skipped=\"{skipped}\">"
    );
    for line in lines {
        let (family, name) = (line.case.family, line.case.name);
        let _ = write!(text, "  <testcase classname=\"{family}\" name=\"{name}\"");
        let _ = match &line.outcome {
            Outcome::Held => writeln!(text, "/>"),
            Outcome::Skipped(why) => {
                writeln!(text, "><skipped message=\"{}\"/></testcase>", xml(why))
            }
            Outcome::Broken(failure) => writeln!(
                text,
                "><failure message=\"{}\">{}</failure></testcase>",
                xml(&failure.came),
                xml(&failure.to_string())
            ),
        };
    }
    text.push_str("</testsuite>\n");
    text
}

fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 has no other control characters, not even escaped.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
