//! The judge, judged. Each small broken server must fail the case that is named
//! for its mistake, and the same server without a mistake must pass every case:
//! so a case that catches a mutant catches it for its mistake. And what the case
//! then says is compared with a recorded text.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use client_suite::case::Case;
use client_suite::cases;
use client_suite::cleanup;
use client_suite::judge::{Measure, Outcome, Root, judge};
use client_suite::patience::{patience, set_patience};
use client_suite::programs::Programs;
use client_suite::stage::{Model, Stage};
use client_suite::surroundings;
use client_suite::target::Target;
use libtest_mimic::{Arguments, Failed, Trial};

#[path = "../src/mutations.rs"]
mod mutations;
mod recorded;

use mutations::{MUTATIONS, Mutant};
use recorded::Recorded;

/// What the server is made of, for the cases that depend on it. The level is the
/// highest: nothing is spared.
static STAGE: Stage = Stage {
    name: "mutant",
    level: 6,
    model: Model::ThreadPerClient,
    about: "wrong in one way",
};

/// Whether the server with this mutation is one thread and events. Its name says so.
fn is_of_events(mutant: &Mutant) -> bool {
    mutant.name.starts_with("events-")
}

/// What a server is made of: that is what the case asks for, if it asks for something.
fn stage_for(events: bool, case: &Case) -> Stage {
    let model = match (events, case.only.first()) {
        (true, _) => Model::Events { select: false },
        (false, Some(&model)) => model,
        (false, None) => STAGE.model,
    };
    Stage { model, ..STAGE }
}

/// A mutant that hangs is caught by the end of patience, and there are many: this
/// many seconds do. Too little could only pass a mutant as caught, never the
/// correct server as wrong, which is judged with the suite's own patience.
const PATIENCE: u64 = 5;

fn main() -> ExitCode {
    match run(&Arguments::from_args()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<bool> {
    surroundings::make_plain()?;
    cleanup::on_interrupt().map_err(io::Error::other)?;
    let root = Arc::new(Root::new()?);
    let programs = Programs::new()?;
    // Most cases wait, so more run at once than there are processors; a mutant that
    // hangs does nothing but wait.
    let at_once = |threads| {
        let threads = arguments.test_threads.or(Some(threads));
        Arguments { test_threads: threads, ..arguments.clone() }
    };
    // Two runs, as patience is one for the whole process.
    let correct = libtest_mimic::run(&at_once(8), correct(&programs, &root)?);
    set_patience(PATIENCE.min(patience().as_secs()));
    let recorded = Arc::new(Recorded::open()?);
    let trials = broken(&programs, &root, &recorded)?;
    let broken = libtest_mimic::run(&at_once(32), trials);
    recorded.save()?;
    Ok(!correct.has_failed() && !broken.has_failed())
}

/// The correct server keeps every promise.
fn correct(programs: &Programs, root: &Arc<Root>) -> io::Result<Vec<Trial>> {
    let threads = programs.make("correct", PROGRAM, "")?;
    let events = programs.make("correct-events", PROGRAM, "--events")?;
    let trial = |name: &str, binary: &Path, events: bool, case: Case| {
        let (root, target) = (Arc::clone(root), Target::Binary(binary.to_owned()));
        let name = format!("{name}::{}", case.full_name());
        Trial::test(name.clone(), move || {
            let stage = stage_for(events, &case);
            match judge(&case, &stage, &target, &root.path, Measure::Contract) {
                Outcome::Held => Ok(()),
                Outcome::Broken(failure) => Err(Failed::from(failure.to_string())),
                Outcome::Skipped(why) => {
                    eprintln!("{name} skipped: {why}");
                    Ok(())
                }
            }
        })
    };
    let all = |events: bool| {
        let asked = move |case: &Case| {
            let stage = stage_for(events, case);
            // It makes no process for a client: such a case is for `fork` alone.
            stage.model != Model::ProcessPerClient && case.not_for(&stage).is_none()
        };
        cases::all().into_iter().filter(asked)
    };
    // The cases by which its mutants are caught, and their family's.
    let of_events = |case: &Case| {
        let by = |mutant: &&Mutant| mutant.caught_by == case.full_name();
        case.family == "events" || MUTATIONS.iter().filter(by).any(is_of_events)
    };
    let by_threads = all(false).map(|case| trial("correct", &threads, false, case));
    let by_events = all(true)
        .filter(of_events)
        .map(|case| trial("correct-events", &events, true, case));
    Ok(by_threads.chain(by_events).collect())
}

/// Each mutant breaks its promise.
fn broken(
    programs: &Programs,
    root: &Arc<Root>,
    recorded: &Arc<Recorded>,
) -> io::Result<Vec<Trial>> {
    let all = cases::all();
    let trial = |mutant: &'static Mutant| {
        let events = if is_of_events(mutant) { "--events " } else { "" };
        let arguments = format!("{events}--mutation {}", mutant.name);
        let binary = programs.make(mutant.name, PROGRAM, &arguments)?;
        let case = all.iter().find(|case| case.full_name() == mutant.caught_by).copied();
        let (root, recorded) = (Arc::clone(root), Arc::clone(recorded));
        Ok(Trial::test(format!("mutant::{}", mutant.name), move || {
            caught(mutant, case, binary, &root.path, &recorded)
        }))
    };
    let nothing_else = {
        let recorded = Arc::clone(recorded);
        move || match recorded.forgotten()[..] {
            [] => Ok(()),
            [name, ..] => Err(Failed::from(format!(
                "A failure is recorded of {name}, which is no mutant: RECORD=1 cargo test -p mutant"
            ))),
        }
    };
    let nothing_else = Trial::test("recorded::nothing_else", nothing_else);
    let elsewhere = Trial::test("recorded::same_elsewhere", recorded::elsewhere::same);
    MUTATIONS.iter().map(trial).chain([Ok(nothing_else), Ok(elsewhere)]).collect()
}

/// A case may let a mutant pass when the machine is so busy that the client itself
/// comes late: a byte meant to put a deadline off, for instance. The same may change
/// what a failure tells. So a mutant escapes only if it does so several times, and a
/// text has changed only if it differs as often.
fn caught(
    mutant: &Mutant,
    case: Option<Case>,
    binary: PathBuf,
    root: &Path,
    recorded: &Recorded,
) -> Result<(), Failed> {
    const TRIES: usize = 5;
    let Mutant { name, wrong, caught_by, .. } = mutant;
    let Some(case) = case else {
        return Err(Failed::from(format!(
            "A server that {wrong} escapes: there is no case {caught_by}."
        )));
    };
    let target = Target::Binary(binary);
    let mut different = None;
    for number in 1..=TRIES {
        let stage = stage_for(is_of_events(mutant), &case);
        match judge(&case, &stage, &target, root, Measure::Contract) {
            Outcome::Held => {}
            Outcome::Broken(failure) => {
                match recorded.compare(mutant, &failure.to_string()) {
                    Ok(()) if number == 1 => return Ok(()),
                    Ok(()) => {
                        let before = different.unwrap_or_else(|| "it escaped".to_owned());
                        eprintln!("mutant::{name} caught by try {number}, but: {before}");
                        return Ok(());
                    }
                    Err(why) => different = Some(why),
                }
            }
            Outcome::Skipped(why) => {
                eprintln!("mutant::{name} not tried: {why}");
                return Ok(());
            }
        }
    }
    Err(Failed::from(different.unwrap_or_else(|| {
        format!("A server that {wrong} escapes: {caught_by} holds for it.")
    })))
}

/// The program that all mutants are: the suite starts a program with the contract's options
/// and no others, so each is a program of its own that adds its mistake.
const PROGRAM: &str = env!("CARGO_BIN_EXE_mutant");
