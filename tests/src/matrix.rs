//! The capability matrix: what each server can do, as a Markdown table for the book.

use std::fmt::Write as _;

use crate::case::Case;
use crate::cases;
use crate::profile::{Capability, PROFILES, ServerProfile};

/// Returns the matrix of all servers up to a chapter.
pub fn markdown(level: u8) -> String {
    let servers: Vec<&ServerProfile> =
        PROFILES.iter().filter(|profile| profile.level <= level).collect();
    let mut text = String::from("| what |");
    for profile in &servers {
        let _ = write!(text, " `{}` |", profile.name);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(servers.len()));
    text.push('\n');
    row(&mut text, "chapter", &servers, |profile| profile.level.to_string());
    row(&mut text, "how it waits", &servers, |profile| profile.summary.to_owned());
    for capability in Capability::ALL {
        row(&mut text, capability.title(), &servers, |profile| can(profile, capability));
    }
    let all = cases::all();
    for family in cases::families() {
        let of: Vec<&Case> = all.iter().filter(|case| case.family == family).collect();
        let name = format!("cases: {}", family.replace('_', " "));
        row(&mut text, &name, &servers, |profile| count_applicable(&of, profile));
    }
    row(&mut text, "**cases in all**", &servers, |profile| {
        count_applicable(&all.iter().collect::<Vec<_>>(), profile)
    });
    text
}

fn row(
    text: &mut String,
    title: &str,
    servers: &[&ServerProfile],
    cell: impl Fn(&ServerProfile) -> String,
) {
    let _ = write!(text, "| {title} |");
    for profile in servers {
        let _ = write!(text, " {} |", cell(profile));
    }
    text.push('\n');
}

fn can(profile: &ServerProfile, capability: Capability) -> String {
    if profile.has(capability) {
        return "yes".to_owned();
    }
    match (capability, profile.capacity(), profile.idle_cost()) {
        (Capability::AnyNumber, Some((1, _)), _) => "no: one".to_owned(),
        (Capability::AnyNumber, Some(_), _) => "no: as many as workers".to_owned(),
        (Capability::IdleForFree, _, Some(what)) => format!("no: one {what}"),
        (Capability::IdleForFree, Some(_), None) => "no: one worker".to_owned(),
        _ => "no".to_owned(),
    }
}

fn count_applicable(of: &[&Case], profile: &ServerProfile) -> String {
    of.iter().filter(|case| case.skip_reason(profile).is_none()).count().to_string()
}
