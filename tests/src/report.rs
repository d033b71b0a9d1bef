//! The report of `check`: text for people, JSON and JUnit for programs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::case::Case;
use crate::judge::Outcome;

/// One case, its outcome, and its duration.
#[derive(Debug)]
pub struct CaseReport {
    /// The case that was judged.
    pub case: Case,
    /// Whether the case passed, failed, or was not tried.
    pub outcome: Outcome,
    /// The time from the start of the case's server to the verdict; zero if the case was not tried.
    pub time: Duration,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Plain text: a line for each case, the failures, and the counts.
    #[default]
    Text,
    /// A JSON object.
    Json,
    /// JUnit XML, which most build systems and graders read.
    Junit,
}

/// The number of cases with each outcome.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Number of promises kept.
    pub kept: usize,
    /// Number of promises broken.
    pub broken: usize,
    /// Number of cases not tried because the server lacks a feature that the contract demands.
    pub missing: usize,
    /// Number of cases not tried because too many earlier cases of their family have hung.
    pub not_reached: usize,
    /// Number of cases skipped: they do not apply to the server, or the suite's machine cannot try
    /// them.
    pub skipped: usize,
}

impl Counts {
    /// Returns the number of cases with each outcome.
    pub fn of(cases: &[CaseReport]) -> Self {
        let mut counts = Self::default();
        for entry in cases {
            *match entry.outcome {
                Outcome::Passed => &mut counts.kept,
                Outcome::Failed(_) => &mut counts.broken,
                Outcome::Missing(_) => &mut counts.missing,
                Outcome::NotReached(_) => &mut counts.not_reached,
                Outcome::Skipped(_) => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// Returns the number of cases that are failures, whatever their reason.
    fn failures(self) -> usize {
        self.broken + self.missing + self.not_reached
    }

    /// Returns whether the server passes: it fails no case, and passes at least one.
    pub fn pass(self) -> bool {
        self.failures() == 0 && self.kept > 0
    }
}

/// The reason why a server that fails no case may not have passed.
const NOTHING_KEPT: &str = "no promise was kept, so the server has not passed";

/// Returns the report in the format `format`. A report in plain text ends with the `slowest`
/// slowest cases; a report in JSON or JUnit has the time of each case.
pub fn render(cases: &[CaseReport], format: Format, slowest: usize) -> String {
    match format {
        Format::Text => text(cases, slowest),
        Format::Json => json(cases),
        Format::Junit => junit(cases),
    }
}

fn text(cases: &[CaseReport], slowest: usize) -> String {
    let mut text = String::new();
    for entry in cases {
        let name = entry.case.full_name();
        let _ = match &entry.outcome {
            Outcome::Passed => writeln!(text, "ok      {name}"),
            Outcome::Skipped(why) => writeln!(text, "skipped {name}: {why}"),
            Outcome::Missing(missing) => {
                writeln!(text, "MISSING {name}: {}", missing.why)
            }
            Outcome::NotReached(why) => writeln!(text, "MISSED  {name}: {why}"),
            Outcome::Failed(_) => writeln!(text, "FAILED  {name}"),
        };
    }
    for entry in cases {
        if let Outcome::Failed(failure) = &entry.outcome {
            let _ = write!(text, "\n── {} ──\n{failure}", entry.case.full_name());
        }
    }
    let Counts { kept, broken, missing, not_reached, skipped } = Counts::of(cases);
    let _ = write!(text, "\n{kept} promises kept, {broken} broken");
    for (count, what) in [(missing, "not offered"), (not_reached, "not reached")] {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    let _ = writeln!(text, ", {skipped} not tried");
    for (count, why) in reasons(cases) {
        let _ = writeln!(text, "{count:7} {why}");
    }
    if kept == 0 {
        let _ = writeln!(text, "{NOTHING_KEPT}");
    }
    if slowest > 0 {
        let mut by_time: Vec<_> =
            cases.iter().filter(|entry| !entry.time.is_zero()).collect();
        by_time.sort_by_key(|entry| Reverse(entry.time));
        text.push_str("\nThe slowest:\n");
        for entry in by_time.iter().take(slowest) {
            let (time, name) = (entry.time.as_secs_f64(), entry.case.full_name());
            let _ = writeln!(text, "{time:7.2} s  {name}");
        }
    }
    text
}

/// Returns the reasons why cases were not tried, with the number of cases for each; the most
/// frequent first.
fn reasons(cases: &[CaseReport]) -> Vec<(usize, String)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in cases {
        let reason = match &entry.outcome {
            Outcome::Skipped(why) => format!("not tried: {why}"),
            Outcome::Missing(missing) => format!(
                "not offered: {} (--allow-missing {} if that is meant)",
                missing.why, missing.name
            ),
            Outcome::NotReached(why) => format!("not reached: {why}"),
            Outcome::Passed | Outcome::Failed(_) => continue,
        };
        *counts.entry(reason).or_default() += 1;
    }
    let mut all: Vec<_> = counts.into_iter().map(|(why, count)| (count, why)).collect();
    all.sort_by_key(|(count, _)| Reverse(*count));
    all
}

fn json(cases: &[CaseReport]) -> String {
    let counts = Counts::of(cases);
    let report = serde_json::json!({
        "passed": counts.pass(),
        "held": counts.kept,
        "broken": counts.broken,
        "missing": counts.missing,
        "not_reached": counts.not_reached,
        "skipped": counts.skipped,
        "cases": cases.iter().map(case_json).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

/// Returns one case, its outcome and its duration as a JSON object.
pub fn case_json(entry: &CaseReport) -> serde_json::Value {
    let mut value = serde_json::json!({
        "family": entry.case.family,
        "name": entry.case.name,
        "kind": entry.case.kind.label(),
        "cite": entry.case.cite,
        "description": entry.case.description,
        "seconds": entry.time.as_secs_f64(),
    });
    match &entry.outcome {
        Outcome::Passed => value["outcome"] = "held".into(),
        Outcome::Skipped(why) => {
            value["outcome"] = "skipped".into();
            value["why"] = why.as_str().into();
        }
        Outcome::Missing(missing) => {
            value["outcome"] = "missing".into();
            value["missing"] = missing.name.into();
            value["why"] = missing.why.as_str().into();
        }
        Outcome::NotReached(why) => {
            value["outcome"] = "not reached".into();
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
}

fn junit(cases: &[CaseReport]) -> String {
    let counts = Counts::of(cases);
    // JUnit tools show a suite without failures as passed, so "no promise kept" is added as a
    // failing test.
    let nothing = usize::from(counts.kept == 0);
    let (tests, failures) = (cases.len() + nothing, counts.failures() + nothing);
    let skipped = counts.skipped;
    let time: Duration = cases.iter().map(|entry| entry.time).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"client-suite\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{:.3}\">",
        time.as_secs_f64()
    );
    text += &junit_cases(cases);
    if nothing == 1 {
        text += "  <testcase classname=\"suite\" name=\"something_is_kept\" time=\"0\"";
        text += &failed("nothing kept", NOTHING_KEPT, "");
    }
    text.push_str("</testsuite>\n");
    text
}

/// Returns cases as the `testcase` elements of a JUnit test suite.
pub fn junit_cases(cases: &[CaseReport]) -> String {
    let mut text = String::new();
    for entry in cases {
        let (family, name, time) =
            (entry.case.family, entry.case.name, entry.time.as_secs_f64());
        let _ = write!(
            text,
            "  <testcase classname=\"{family}\" name=\"{name}\" time=\"{time:.3}\""
        );
        text += &match &entry.outcome {
            Outcome::Passed => "/>\n".to_owned(),
            Outcome::Skipped(why) => {
                format!("><skipped message=\"{}\"/></testcase>\n", xml(why))
            }
            Outcome::Missing(missing) => failed("missing", &missing.why, ""),
            Outcome::NotReached(why) => failed("not reached", why, ""),
            Outcome::Failed(failure) => {
                failed("broken", &failure.actual, &failure.to_string())
            }
        };
    }
    text
}

/// Returns the part of a failed test case in JUnit's format that follows its attributes: the
/// failure, and the end of the test case.
fn failed(kind: &str, message: &str, details: &str) -> String {
    let (message, details) = (xml(message), xml(details));
    format!(
        "><failure type=\"{kind}\" message=\"{message}\">{details}</failure></testcase>\n"
    )
}

/// Returns a text as it is written into XML, in an attribute or between tags.
pub fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // XML 1.0 forbids most control characters, even as references, so all but newline and
            // tab are replaced.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
