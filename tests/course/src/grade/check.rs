//! Proves a plan: the reference solution has all points, the starter has none in any part, and each
//! part's stub, a naive solution, loses points in its own part only. So a plan that no longer fits
//! the suite is noticed, and no part gives points for nothing.
//!
//! All servers that are run here are the instructor's own, so they run as the instructor's own
//! user.

use std::path::Path;

use anyhow::Context as _;
use client_suite::judge::Outcome;

use crate::grade::format::{Format, render};
use crate::grade::plan::{Plan, Points, Source};
use crate::grade::report::{PartReport, Report};
use crate::grade::run_as::RunAs;
use crate::grade::submission::Files;
use crate::grade::{Settings, Submitted, grade, submission};
use crate::ladder::{Track, checkout};
use crate::{cutter, starter, work};

/// Proves a plan: grades its reference solution, its starter and its parts' stubs, and prints each
/// result. Returns whether each of them has the points that it must have.
///
/// # Errors
///
/// Fails if one of these servers cannot be built, or if the grader itself fails.
pub fn check(path: &Path, plan: &Plan, seed: Option<u64>) -> anyhow::Result<bool> {
    let settings = Settings {
        run_as: RunAs::find(None, true)?,
        seed,
        out: None,
        format: Format::Text,
        secret: path.to_owned(),
    };
    let run = |source: Option<&Source>, open: &[String]| {
        let submitted = match source {
            Some(source) => find(plan, source)?,
            None => Submitted::Files(solution(plan, open)?),
        };
        grade(plan, &submitted, &settings)
    };
    let is_track = plan.starter_is_track();
    let mut holds = true;

    if is_track || plan.check.reference.is_some() {
        let report = run(plan.check.reference.as_ref(), &[]).context("the reference")?;
        let words = ("has all points", "should have all points");
        holds &= say("the reference", &report, report.is_perfect(), words);
        if !report.is_perfect() {
            println!("{}", render(&report, Format::Text));
        }
        say_skipped(&report);
    } else {
        println!("MISSING  the reference: add `reference` to [check]");
        holds = false;
    }

    if plan.starter.is_some() || plan.check.starter.is_some() {
        let report = match &plan.check.starter {
            None => grade(plan, &Submitted::Files(Files::new()), &settings),
            source => run(source.as_ref(), &[]),
        };
        let report = report.context("the starter")?;
        let paid: Vec<_> =
            report.parts.iter().filter(|p| p.earned() > Points(0)).collect();
        let words = ("has no point in any part", "should have no point in any part");
        holds &= say("the starter", &report, paid.is_empty(), words);
        paid.into_iter().for_each(say_passed);
    } else {
        println!("MISSING  the starter: add `starter` to [check]");
        holds = false;
    }

    for part in &plan.parts {
        let name = format!("the stub of {:?}", part.name);
        let Some(stub) = &part.stub else {
            println!(
                "         {name}: there is none, so nothing proves that it is its own part"
            );
            continue;
        };
        let report = run(Some(stub), &[]).with_context(|| name.clone())?;
        let lost = |part: &&PartReport| part.earned() < part.possible();
        let lost: Vec<&str> = report
            .parts
            .iter()
            .filter(lost)
            .map(|part| part.part.name.as_str())
            .collect();
        let own = lost.contains(&part.name.as_str());
        let others = lost
            .iter()
            .filter(|other| **other != part.name && !needs(plan, other, &part.name));
        let others: Vec<_> = others.copied().collect();
        let words = ("loses its own part only", "should lose its own part only");
        holds &= say(&name, &report, own && others.is_empty(), words);
        if !own {
            println!("         it loses nothing in it");
        }
        if !others.is_empty() {
            println!("         it also loses points in {}", others.join(", "));
            println!("{}", render(&report, Format::Text));
        }
    }
    let minutes = plan.worst_seconds().div_ceil(60);
    println!(
        "At most {minutes} minutes for one submission, with the build; {} points in {} parts.",
        plan.total(),
        plan.parts.len()
    );
    Ok(holds)
}

/// Prints the points of the server called `name`. `holds` says whether the points are as required:
/// the sentence ends with the words `is` if they are, and with `should` if not. Returns `holds`.
fn say(name: &str, report: &Report, holds: bool, (is, should): (&str, &str)) -> bool {
    let (earned, possible) = (report.earned(), report.possible());
    match holds {
        true => println!("ok       {name} {is}: {earned} of {possible}"),
        false => println!("FAILED   {name} {should}; it has {earned} of {possible}"),
    }
    holds
}

/// Prints the cases that this machine cannot judge.
fn say_skipped(report: &Report) {
    for entry in report.parts.iter().flat_map(|part| &part.cases) {
        if let Outcome::Skipped(why) = &entry.outcome {
            println!(
                "         {} is not judged on this machine: {why}",
                entry.case.full_name()
            );
        }
    }
}

/// Prints the cases of a part that pass although none of them may.
fn say_passed(part: &PartReport) {
    for entry in &part.cases {
        if matches!(entry.outcome, Outcome::Passed) {
            println!(
                "         {} passes in {:?}",
                entry.case.full_name(),
                part.part.name
            );
        }
    }
}

/// Returns whether the part called `part` needs the part `other`, directly or through other parts.
fn needs(plan: &Plan, part: &str, other: &str) -> bool {
    let part = plan.parts.iter().find(|candidate| candidate.name == part);
    let needed = part.map_or(&[][..], |part| &part.needs);
    needed.iter().any(|need| need == other || needs(plan, need, other))
}

/// Returns the server that `source` describes, as a submission that can be graded. A program of the
/// book's repository is built first.
fn find(plan: &Plan, source: &Source) -> anyhow::Result<Submitted> {
    let directory = &plan.directory;
    Ok(match source {
        Source::Submission(path) => Submitted::Directory(directory.join(path)),
        Source::Open(steps) => Submitted::Files(solution(plan, steps)?),
        Source::Cmd(command) => Submitted::Command(
            command.replace("{plan}", &directory.display().to_string()),
        ),
        Source::Package(line) => {
            let mut words = line.split_whitespace();
            let package = words.next().context("`package` names none")?;
            let program = package.rsplit('/').next().unwrap_or(package);
            let mut built = work::build(&checkout(), &[program])?;
            let path = built.remove(program);
            let path = path.with_context(|| format!("there is no program {program}"))?;
            Submitted::Program(path, words.map(str::to_owned).collect())
        }
    })
}

/// Returns the files that the plan takes from a submission, with the course's own code in them, and
/// with the holes of the steps that `open` names left open.
fn solution(plan: &Plan, open: &[String]) -> anyhow::Result<Files> {
    anyhow::ensure!(
        plan.starter_is_track(),
        "`open` needs a track of the course as `starter`"
    );
    let track = Track::load(plan.starter.as_deref().unwrap_or_default())?;
    let mut sources = starter::sources(&track, track.steps.len())?;
    for name in open {
        let step = track.steps.iter().find(|step| step.name == *name);
        let step = step.with_context(|| format!("`open`: there is no step {name}"))?;
        for hole in &step.holes {
            let text = sources.get_mut(hole.file()).context("no such file")?;
            let filled = cutter::fill(text, &[(hole.address(), step.stub(hole))]);
            *text = filled.map_err(|why| anyhow::anyhow!("{}: {why}", hole.at))?;
        }
    }
    let files =
        sources.into_iter().filter(|(name, _)| submission::is_wanted(name, &plan.files));
    Ok(files.map(|(name, text)| (name, text.into())).collect())
}
