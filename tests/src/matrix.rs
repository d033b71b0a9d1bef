//! The capability matrix: what each server can do, as Markdown for the book.

use std::fmt::Write as _;

use crate::case::Case;
use crate::cases;
use crate::stage::{Capability, STAGES, Stage};

/// The whole matrix, stages up to a level.
pub fn markdown(level: u8) -> String {
    let stages: Vec<&Stage> =
        STAGES.iter().filter(|stage| stage.level <= level).collect();
    let mut text = String::from("| what |");
    for stage in &stages {
        let _ = write!(text, " `{}` |", stage.name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(stages.len()));
    text.push('\n');
    row(&mut text, "chapter", &stages, |stage| stage.level.to_string());
    row(&mut text, "how it waits", &stages, |stage| stage.about.to_owned());
    for capability in Capability::ALL {
        row(&mut text, capability.title(), &stages, |stage| can(stage, capability));
    }
    let all = cases::all();
    for family in cases::families() {
        let of: Vec<&Case> = all.iter().filter(|case| case.family == family).collect();
        let name = format!("cases: {}", family.replace('_', " "));
        row(&mut text, &name, &stages, |stage| asked(&of, stage));
    }
    row(&mut text, "**cases in all**", &stages, |stage| {
        asked(&all.iter().collect::<Vec<_>>(), stage)
    });
    text
}

fn row(
    text: &mut String,
    title: &str,
    stages: &[&Stage],
    cell: impl Fn(&Stage) -> String,
) {
    let _ = write!(text, "| {title} |");
    for stage in stages {
        let _ = write!(text, " {} |", cell(stage));
    }
    text.push('\n');
}

fn can(stage: &Stage, capability: Capability) -> String {
    if stage.has(capability) {
        return "yes".to_owned();
    }
    match (capability, stage.at_once(), stage.cost_of_idle()) {
        (Capability::AnyNumber, Some((1, _)), _) => "no: one".to_owned(),
        (Capability::AnyNumber, Some(_), _) => "no: as many as workers".to_owned(),
        (Capability::IdleForFree, _, Some(what)) => format!("no: one {what}"),
        (Capability::IdleForFree, Some(_), None) => "no: one worker".to_owned(),
        _ => "no".to_owned(),
    }
}

fn asked(of: &[&Case], stage: &Stage) -> String {
    of.iter().filter(|case| case.not_for(stage).is_none()).count().to_string()
}
