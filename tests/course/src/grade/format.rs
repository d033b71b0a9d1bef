//! The formats of a report: text for people, and four for programs.
//!
//! Every format has the points of every part, and every format except CSV describes the failures.
//! Only JSON and JUnit contain times, one for each case. In the other formats two reports on one
//! submission are alike, except for what the submission itself makes differ, such as a `Date`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ValueEnum;
use client_suite::judge::Outcome;
use client_suite::report::{case_json, junit_cases, xml};
use serde_json::{Value, json};

use crate::grade::plan::{Rule, Visibility};
use crate::grade::report::{PartReport, Report};

/// A format in which [`render`] writes a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Text,
    /// A JSON object with the whole report.
    Json,
    /// JUnit XML: a test suite for each part.
    Junit,
    /// Gradescope's `results.json`: a test for each part.
    Gradescope,
    /// CSV: a line for each part, and one for the sum of all parts.
    Csv,
}

/// The size in bytes to which a text in Gradescope's format is shortened: the description of a
/// part, or the notes.
const MOST_OUTPUT: usize = 20_000;

/// Returns the text of a report in the format `format`.
pub fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text(report),
        Format::Json => json_report(report),
        Format::Junit => junit(report),
        Format::Gradescope => gradescope(report),
        Format::Csv => csv(report),
    }
}

fn text(report: &Report) -> String {
    let mut text = format!("{}\nsubmission   {}\n", report.title, report.submission);
    if let Some(seed) = report.seed {
        let _ = writeln!(text, "seed         {seed}");
    }
    if !report.complete {
        text += "             the grading has not come to its end\n";
    }
    for note in &report.notes {
        let _ = writeln!(text, "\n{}", note.trim_end());
    }
    for part in &report.parts {
        let _ = writeln!(text, "\n{}", heading(part));
        text += &details(part);
    }
    let _ = writeln!(text, "\n{} of {} points", report.earned(), report.possible());
    if report.possible() != report.total() {
        let _ = writeln!(
            text,
            "This machine cannot judge parts worth {} of the plan's {} points: {} of {1} when scaled.",
            crate::grade::plan::Points(report.total().0 - report.possible().0),
            report.total(),
            report.scaled()
        );
    }
    if !report.not_contained.is_empty() {
        text += "\nNot contained:\n";
        for what in &report.not_contained {
            let _ = writeln!(text, "  - {what}");
        }
    }
    clean(&text)
}

/// Returns a part's name, points and counts in one line.
fn heading(part: &PartReport) -> String {
    let (counts, judged) = (part.counts(), part.judged());
    let mut line = format!(
        "{:32} {:>6} of {:<6} {} of {judged} cases",
        part.part.name,
        part.earned().to_string(),
        part.possible().to_string(),
        counts.kept
    );
    if part.part.rule == Rule::All {
        line += ", all are needed";
    }
    if part.part.visibility != Visibility::Visible {
        let _ = write!(line, " ({})", part.part.visibility.word().replace('_', " "));
    }
    line
}

/// Describes the cases of a part that did not pass. First come the cases that were not judged: for
/// each reason, the number of these cases and, unless they were not reached, their names. Then
/// comes each failure in full.
fn details(part: &PartReport) -> String {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text = String::new();
    for entry in &part.cases {
        let reason = match &entry.outcome {
            Outcome::Skipped(why) => format!("not judged on this machine: {why}"),
            Outcome::Missing(missing) => format!("not offered: {}", missing.why),
            Outcome::NotReached(why) => format!("not reached: {why}"),
            Outcome::Passed | Outcome::Failed(_) => continue,
        };
        reasons.entry(reason).or_default().push(entry.case.full_name());
    }
    for (why, cases) in reasons {
        let _ = writeln!(text, "{:>6} {why}", cases.len());
        if !why.starts_with("not reached") {
            let _ = writeln!(text, "       {}", cases.join(", "));
        }
    }
    for entry in &part.cases {
        if let Outcome::Failed(failure) = &entry.outcome {
            let _ = write!(text, "\n  {}\n", entry.case.full_name());
            for line in failure.to_string().lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    text
}

/// Replaces the control characters in a text, except line feeds and tabs: a terminal would obey the
/// control characters in a submission's output.
fn clean(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}

fn json_report(report: &Report) -> String {
    let part = |part: &PartReport| {
        json!({
            "name": part.part.name,
            "score": part.earned().number(),
            "max_score": part.possible().number(),
            "points": part.part.points.number(),
            "visibility": part.part.visibility.word(),
            "passed": part.counts().kept,
            "judged": part.judged(),
            "cases": part.cases.iter().map(case_json).collect::<Vec<_>>(),
        })
    };
    let value = json!({
        "title": report.title,
        "submission": report.submission,
        "seed": report.seed,
        "complete": report.complete,
        "score": report.earned().number(),
        "max_score": report.possible().number(),
        "points": report.total().number(),
        "scaled": report.scaled().number(),
        "notes": report.notes,
        "not_contained": report.not_contained,
        "parts": report.parts.iter().map(part).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn junit(report: &Report) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let end = if report.complete { "" } else { " (incomplete)" };
    let _ = writeln!(text, "<testsuites name=\"{}{end}\">", xml(&report.title));
    for part in &report.parts {
        let counts = part.counts();
        let failures = part.judged() - counts.kept;
        let _ = writeln!(
            text,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{}\">",
            xml(&part.part.name),
            part.cases.len(),
            counts.skipped
        );
        let _ = writeln!(
            text,
            "  <properties>\n    <property name=\"score\" value=\"{}\"/>\n    <property name=\"max_score\" value=\"{}\"/>\n  </properties>",
            part.earned(),
            part.possible()
        );
        text += &junit_cases(&part.cases);
        text += "</testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn gradescope(report: &Report) -> String {
    let test = |part: &PartReport| {
        let all = part.earned() == part.part.points;
        json!({
            "name": part.part.name,
            "score": part.earned().number(),
            "max_score": part.possible().number(),
            "status": if all { "passed" } else { "failed" },
            "output": cut(&clean(&format!("{}\n{}", heading(part), details(part)))),
            "output_format": "text",
            "visibility": part.part.visibility.word(),
        })
    };
    let mut output = report.notes.join("\n\n");
    if !report.complete {
        output += "\n\nThe grading has not come to its end.";
    }
    let hidden = report.parts.iter().filter(|p| p.part.visibility != Visibility::Visible);
    for part in hidden {
        let _ = write!(
            output,
            "\n\nThe part {} ({} points) is judged, and is not shown now.",
            part.part.name, part.part.points
        );
    }
    if report.possible() != report.total() {
        let _ = write!(
            output,
            "\n\nThis machine could judge parts worth {} of {} points; the score is scaled.",
            report.possible(),
            report.total()
        );
    }
    let value: Value = json!({
        "score": report.scaled().number(),
        "output": cut(&clean(output.trim())),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": report.parts.iter().map(test).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

/// Returns a text unchanged if it has at most [`MOST_OUTPUT`] bytes; otherwise its beginning,
/// marked as cut off.
fn cut(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at >= MOST_OUTPUT) {
        Some((at, _)) => format!("{}\n… (cut off)", &text[..at]),
        None => text.to_owned(),
    }
}

fn csv(report: &Report) -> String {
    let mut text =
        String::from("submission,part,score,max_score,passed,judged,complete\n");
    let complete = report.complete;
    let submission = field(&report.submission);
    for part in &report.parts {
        let _ = writeln!(
            text,
            "{submission},{},{},{},{},{},{complete}",
            field(&part.part.name),
            part.earned(),
            part.possible(),
            part.counts().kept,
            part.judged()
        );
    }
    let (kept, judged) = report.parts.iter().fold((0, 0), |(kept, judged), part| {
        (kept + part.counts().kept, judged + part.judged())
    });
    let _ = writeln!(
        text,
        "{submission},total,{},{},{kept},{judged},{complete}",
        report.scaled(),
        report.total()
    );
    text
}

/// Returns a text as a field of a CSV file (RFC 4180, section 2). If a spreadsheet would take the
/// text for a formula, the field begins with an additional apostrophe, by which the spreadsheet
/// recognizes it as text.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}
