//! The judge, judged. Each small broken server must fail the case that is named
//! for its mistake, and the same server without a mistake must pass every case:
//! so a case that catches a mutant catches it for its mistake. And what the case
//! then says is compared with a recorded text.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use client_suite::case::Case;
use client_suite::cases;
use client_suite::judge::{Measure, Outcome, Root, judge};
use client_suite::patience::{patience, set_patience};
use client_suite::stage::{Model, Stage};
use client_suite::target::Target;
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

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

/// The same by one thread and events. Its mutants' names say so.
static EVENTS: Stage = Stage { model: Model::Events { select: false }, ..STAGE };

/// What the server with this mutation is made of.
fn stage(mutant: &Mutant) -> &'static Stage {
    if mutant.name.starts_with("events-") { &EVENTS } else { &STAGE }
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
    let threads = programs.make("correct", "")?;
    let events = programs.make("correct-events", "--events")?;
    let trial = |name: &str, binary: &Path, stage: &'static Stage, case: Case| {
        let (root, target) = (Arc::clone(root), Target::Binary(binary.to_owned()));
        let name = format!("{name}::{}", case.full_name());
        Trial::test(name.clone(), move || {
            match judge(&case, stage, &target, &root.path, Measure::Contract) {
                Outcome::Held => Ok(()),
                Outcome::Broken(failure) => Err(Failed::from(failure.to_string())),
                Outcome::Skipped(why) => {
                    eprintln!("{name} skipped: {why}");
                    Ok(())
                }
            }
        })
    };
    let all = || cases::all().into_iter().filter(|case| case.not_for(&STAGE).is_none());
    // The cases by which its mutants are caught, and their families'.
    let of_events = |case: &Case| {
        let by = |mutant: &&Mutant| mutant.caught_by == case.full_name();
        case.family == "events"
            || MUTATIONS.iter().filter(by).any(|mutant| stage(mutant) == &EVENTS)
    };
    let by_threads = all().map(|case| trial("correct", &threads, &STAGE, case));
    let by_events = all()
        .filter(of_events)
        .map(|case| trial("correct-events", &events, &EVENTS, case));
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
        let events = if stage(mutant) == &EVENTS { "--events " } else { "" };
        let arguments = format!("{events}--mutation {}", mutant.name);
        let binary = programs.make(mutant.name, &arguments)?;
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
    MUTATIONS.iter().map(trial).chain([Ok(nothing_else)]).collect()
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
    for _ in 0..TRIES {
        match judge(&case, stage(mutant), &target, root, Measure::Contract) {
            Outcome::Held => {}
            Outcome::Broken(failure) => {
                match recorded.compare(mutant, &failure.to_string()) {
                    Ok(()) => return Ok(()),
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

/// The suite starts a program with the contract's options and no others. So each
/// mutant is a program of its own: a script that adds its mistake.
struct Programs {
    directory: TempDir,
}

impl Programs {
    fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("mutants-").tempdir()?;
        // Some cases start the server as another user.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// All are made before the first is started: a script that is still open for
    /// writing, in a child just forked, could not be.
    fn make(&self, name: &str, arguments: &str) -> io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        let mutant = env!("CARGO_BIN_EXE_mutant");
        fs::write(&path, format!("#!/bin/sh\nexec '{mutant}' {arguments} \"$@\"\n"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }
}
