//! The client's side of everything: one suite that judges every server of the
//! book, and any other, at the wire.
//!
//! A [`case::Case`] is one promise; [`cases::all`] is the table of them. A
//! [`stage::Stage`] says what a server is made of. [`judge::judge`] brings one
//! case, one stage and one running server together. Verdicts come from the
//! order of events, never from a stopwatch, and a case is judged once: none is
//! tried again until it holds.

pub mod bounds;
pub mod case;
pub mod cases;
pub mod cleanup;
pub mod client;
pub mod ctx;
pub mod failure;
pub mod fixture;
pub mod judge;
pub mod load;
pub mod matrix;
pub mod misbehave;
mod output;
pub mod patience;
pub mod port;
pub mod proc;
pub mod programs;
pub mod queue;
mod receive;
pub mod report;
pub mod response;
mod send;
pub mod server;
pub mod show;
pub mod stage;
pub mod surroundings;
mod sys;
pub mod target;
pub mod transcript;
pub mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use judge::{Measure, Outcome, Root, judge};
use programs::Programs;
use stage::Stage;
use target::Target;

/// Judges a chapter's servers: a list of stage names and their binaries. A name may have
/// options behind it, for a server that has several manners. Every case is a named test,
/// as in `thread::pipelining::mixed_methods`, and the command line is that of
/// `cargo test`.
pub fn main_for(chapter: &str, stages: &[(&str, &str)]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most cases wait for a deadline or a process, so more run at once than there are processors.
    arguments.test_threads.get_or_insert(8);
    if let Err(error) = surroundings::make_plain() {
        eprintln!("{chapter}: {error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = cleanup::on_interrupt() {
        eprintln!("{chapter}: an interrupted run may leave servers behind: {error}");
    }
    let root = match Root::new() {
        Ok(root) => Arc::new(root),
        Err(error) => {
            eprintln!("{chapter}: cannot make a document root: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    let programs = match Programs::new() {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("{chapter}: cannot make a directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    for (name, binary) in stages {
        let (word, options) = name.split_once(' ').unwrap_or((name, ""));
        let Some(stage) = Stage::named(word) else {
            eprintln!("{chapter}: {word} is not in the table of servers (stage.rs)");
            return ExitCode::FAILURE;
        };
        let program = match options {
            "" => Ok(PathBuf::from(binary)),
            options => programs.make(&name.replace([' ', '-'], "_"), binary, options),
        };
        match program {
            Ok(program) => trials.extend(trials_for(name, stage, &program, &root)),
            Err(error) => {
                eprintln!("{chapter}: cannot make a program of {name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop((root, programs));
    if conclusion.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn trials_for(
    server: &str,
    stage: &'static Stage,
    binary: &std::path::Path,
    root: &Arc<Root>,
) -> Vec<Trial> {
    let trial = |case: case::Case| {
        let (root, target) = (Arc::clone(root), Target::Binary(binary.to_owned()));
        let name = format!("{server}::{}", case.full_name());
        Trial::test(name, move || {
            match judge(&case, stage, &target, &root.path, Measure::Contract) {
                Outcome::Held => Ok(()),
                Outcome::Broken(failure) => Err(Failed::from(failure.to_string())),
                // The book's own servers offer everything: only the system can be an excuse.
                Outcome::Skipped(why) => {
                    eprintln!("{}::{} skipped: {why}", stage.name, case.full_name());
                    Ok(())
                }
            }
        })
        .with_kind(case.kind.word())
        .with_ignored_flag(!stage.here())
    };
    cases::all()
        .into_iter()
        .filter(|case| case.not_for(stage).is_none())
        .map(trial)
        .collect()
}
