//! The report of `check`: text for people, JSON and JUnit for programs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::case::Case;
use crate::judge::Outcome;

/// One case and its outcome.
#[derive(Debug)]
pub struct CaseReport {
    /// The case.
    pub case: Case,
    /// The outcome.
    pub outcome: Outcome,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Plain text.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// JUnit XML, which most build systems and graders read.
    Junit,
}

/// Returns the numbers of cases that passed, were skipped, and failed.
pub fn counts(cases: &[CaseReport]) -> (usize, usize, usize) {
    let count = |test: fn(&Outcome) -> bool| {
        cases.iter().filter(|entry| test(&entry.outcome)).count()
    };
    (
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
    )
}

/// Returns the report as text in this format.
pub fn render(cases: &[CaseReport], format: Format) -> String {
    match format {
        Format::Text => text(cases),
        Format::Json => json(cases),
        Format::Junit => junit(cases),
    }
}

fn text(cases: &[CaseReport]) -> String {
    let mut text = String::new();
    for entry in cases {
        let name = entry.case.full_name();
        let _ = match &entry.outcome {
            Outcome::Passed => writeln!(text, "ok      {name}"),
            Outcome::Skipped(why) => writeln!(text, "skipped {name}: {why}"),
            Outcome::Failed(_) => writeln!(text, "FAILED  {name}"),
        };
    }
    for entry in cases {
        if let Outcome::Failed(failure) = &entry.outcome {
            let _ = write!(text, "\n── {} ──\n{failure}", entry.case.full_name());
        }
    }
    let (held, skipped, broken) = counts(cases);
    let _ =
        writeln!(text, "\n{held} promises kept, {broken} broken, {skipped} not tried");
    for (count, why) in reasons(cases) {
        let _ = writeln!(text, "{count:7} not tried: {why}");
    }
    text
}

/// Returns the reasons why cases were skipped, with the number of cases for each; the most frequent
/// first.
fn reasons(cases: &[CaseReport]) -> Vec<(usize, &str)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in cases {
        if let Outcome::Skipped(why) = &entry.outcome {
            *counts.entry(why).or_default() += 1;
        }
    }
    let mut all: Vec<_> = counts.into_iter().map(|(why, count)| (count, why)).collect();
    all.sort_by_key(|(count, _)| Reverse(*count));
    all
}

fn json(cases: &[CaseReport]) -> String {
    let one = |entry: &CaseReport| {
        let mut value = serde_json::json!({
            "family": entry.case.family,
            "name": entry.case.name,
            "kind": entry.case.kind.label(),
            "cite": entry.case.cite,
            "description": entry.case.description,
        });
        match &entry.outcome {
            Outcome::Passed => value["outcome"] = "held".into(),
            Outcome::Skipped(why) => {
                value["outcome"] = "skipped".into();
                value["why"] = why.as_str().into();
            }
            Outcome::Failed(failure) => {
                value["outcome"] = "broken".into();
                value["expected"] = failure.expected.as_str().into();
                value["actual"] = failure.actual.as_str().into();
                value["transcript"] = failure.transcript.as_str().into();
                value["start"] = failure.start.as_str().into();
                value["by_hand"] = failure.by_hand.clone().into();
                value["book"] = failure.book.as_str().into();
            }
        }
        value
    };
    let (held, skipped, broken) = counts(cases);
    let report = serde_json::json!({
        "held": held,
        "broken": broken,
        "skipped": skipped,
        "cases": cases.iter().map(one).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn junit(cases: &[CaseReport]) -> String {
    let (_, skipped, broken) = counts(cases);
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let total = cases.len();
    let _ = writeln!(
        text,
        "<testsuite name=\"client-suite\" tests=\"{total}\" failures=\"{broken}\" skipped=\"{skipped}\">"
    );
    for entry in cases {
        let (family, name) = (entry.case.family, entry.case.name);
        let _ = write!(text, "  <testcase classname=\"{family}\" name=\"{name}\"");
        let _ = match &entry.outcome {
            Outcome::Passed => writeln!(text, "/>"),
            Outcome::Skipped(why) => {
                writeln!(text, "><skipped message=\"{}\"/></testcase>", xml(why))
            }
            Outcome::Failed(failure) => writeln!(
                text,
                "><failure message=\"{}\">{}</failure></testcase>",
                xml(&failure.actual),
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
            // XML 1.0 allows no other control characters, not even as references.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
