//! Tests that the client suite catches every mutant.
//!
//! Each mutant must fail the case that its row in the table names, and the same server without a
//! mistake must pass every case. So a case that fails for a mutant fails because of the mutant's
//! mistake. The text of each failure is compared with a recorded text (`failures/`).

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use client_suite::case::Case;
use client_suite::cases;
use client_suite::cleanup;
use client_suite::environment;
use client_suite::judge::{DocumentRoot, Outcome, Strictness, judge};
use client_suite::profile::{Model, ServerProfile};
use client_suite::target::{Program, Target};
use client_suite::timeout::with_timeout;
use client_suite::waits_spread;
use libtest_mimic::{Arguments, Failed, Trial};

#[path = "../src/mutations.rs"]
mod mutations;
mod recorded;

use mutations::{MUTATIONS, Mutant};
use recorded::Recorded;

/// The profile of every mutant. Level 6, that of the last chapter, makes the cases of all chapters
/// apply.
static PROFILE: ServerProfile = ServerProfile {
    name: "mutant",
    level: 6,
    model: Model::ThreadPerClient,
    summary: "wrong in one way",
};

/// Returns whether the event-driven server makes the mistake: the mutant's name then begins with
/// `events-`.
fn is_event_driven(mutant: &Mutant) -> bool {
    mutant.name.starts_with("events-")
}

/// Returns the profile by which a server is judged in `case`. If the case is restricted to servers
/// of one concurrency model, the profile has that model.
fn profile_for(events: bool, case: &Case) -> ServerProfile {
    let model = match (events, case.only.first()) {
        (true, _) => Model::Events { select: false },
        (false, Some(&model)) => model,
        (false, None) => PROFILE.model,
    };
    ServerProfile { model, ..PROFILE }
}

/// Returns the server named `name`: the event-driven one if `events` is true, and otherwise the
/// threaded one, with the mistake `mutation`.
fn program(name: &str, events: bool, mutation: Option<&str>) -> Program {
    let events = events.then_some("--events");
    let mutation = mutation.into_iter().flat_map(|mutation| ["--mutation", mutation]);
    Program {
        arguments: events.into_iter().chain(mutation).map(str::to_owned).collect(),
        command: name.to_owned(),
        ..Program::from(env!("CARGO_BIN_EXE_mutant"))
    }
}

/// The suite's timeout while mutants are judged, in seconds: many mutants hang, and only the timeout
/// catches these. Too short a timeout could catch a mutant for the wrong reason, but cannot fail the
/// correct server, which is judged with the suite's own timeout.
const TIMEOUT: u8 = 5;

fn main() -> ExitCode {
    match run(Arguments::from_args()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> io::Result<bool> {
    environment::normalize()?;
    cleanup::on_interrupt().map_err(io::Error::other)?;
    let root = Arc::new(DocumentRoot::new()?);
    // Many more trials run at once than there are processors, because most cases only wait, and a
    // mutant that hangs uses no processor time.
    arguments.test_threads.get_or_insert(96);
    let recorded = Arc::new(Recorded::open()?);
    let mut trials = broken(&root, &recorded);
    trials.extend(correct(&root));
    let conclusion = libtest_mimic::run(&arguments, waits_spread(trials));
    recorded.save()?;
    Ok(!conclusion.has_failed())
}

/// Returns the trials of the correct server, which must pass every case, each with its duration in
/// seconds and its index. The cases of the course's projects are included, which proves that each
/// project can be done.
fn correct(root: &Arc<DocumentRoot>) -> Vec<(u8, usize, Trial)> {
    let trial = |events: bool, (index, case): (usize, Case)| {
        let server = if events { "correct-events" } else { "correct" };
        let root = Arc::clone(root);
        let target = Target::Binary(program(server, events, None));
        let name = format!("{server}::{}", case.full_name());
        let trial = Trial::test(name.clone(), move || {
            let profile = profile_for(events, &case);
            match judge(&case, &profile, &target, &root.path, Strictness::Contract) {
                Outcome::Passed => Ok(()),
                Outcome::Failed(failure) => Err(Failed::from(failure.to_string())),
                Outcome::Missing(missing) => Err(Failed::from(missing.why)),
                Outcome::NotReached(why) => Err(Failed::from(why)),
                Outcome::Skipped(why) => {
                    eprintln!("{name} skipped: {why}");
                    Ok(())
                }
            }
        });
        (case.seconds, index, trial)
    };
    let all = |events: bool| {
        let applies = move |(_, case): &(usize, Case)| {
            let profile = profile_for(events, case);
            // The mutants' server has no process per client, so the cases for that model are left
            // out.
            profile.model != Model::ProcessPerClient
                && case.skip_reason(&profile).is_none()
        };
        cases::all().into_iter().enumerate().filter(applies)
    };
    // The event-driven server is judged by the cases `events::*` and by the cases that catch
    // event-driven mutants.
    let event_cases = |(_, case): &(usize, Case)| {
        let by = |mutant: &&Mutant| mutant.caught_by == case.full_name();
        case.family == "events" || MUTATIONS.iter().filter(by).any(is_event_driven)
    };
    // The threaded server's trials include the projects' cases. A project's case itself passes the
    // options that select the kind of server it needs.
    let projects = cases::projects().into_iter().enumerate();
    let by_threads = all(false).chain(projects);
    let by_threads = by_threads.map(|case| trial(false, case));
    let by_events = all(true).filter(event_cases).map(|case| trial(true, case));
    by_threads.chain(by_events).collect()
}

/// Returns a trial for each mutant, with its duration in seconds and its index. It passes if the
/// mutant fails the case that the table of mutants names for it.
fn broken(root: &Arc<DocumentRoot>, recorded: &Arc<Recorded>) -> Vec<(u8, usize, Trial)> {
    let all = cases::with_projects();
    let trial = |(index, mutant): (usize, &'static Mutant)| {
        let program = program(mutant.name, is_event_driven(mutant), Some(mutant.name));
        let case = all.iter().find(|case| case.full_name() == mutant.caught_by).copied();
        let (root, recorded) = (Arc::clone(root), Arc::clone(recorded));
        let trial = Trial::test(format!("mutant::{}", mutant.name), move || {
            caught(mutant, case, program, &root.path, &recorded)
        });
        // Many mutants hang until the timeout, so each counts as a long trial.
        (case.map_or(TIMEOUT, |case| case.seconds.max(TIMEOUT)), index, trial)
    };
    let nothing_stale = {
        let recorded = Arc::clone(recorded);
        move || match recorded.stale()[..] {
            [] => Ok(()),
            [name, ..] => Err(Failed::from(format!(
                "A failure is recorded for {name}, which is not a mutant: run RECORD=1 cargo test -p mutant"
            ))),
        }
    };
    let nothing_stale = Trial::test("recorded::nothing_stale", nothing_stale);
    let environment =
        Trial::test("recorded::same_in_another_environment", recorded::environment::same);
    let mut trials: Vec<_> = MUTATIONS.iter().enumerate().map(trial).collect();
    trials.extend([nothing_stale, environment].map(|trial| (0, usize::MAX, trial)));
    trials
}

/// Judges a mutant by its case, and compares the failure with the recorded text.
///
/// On a very busy machine the client itself may be late, for example with a byte that is meant to
/// postpone a deadline. The mutant then passes, or the failure's text differs. So a mutant counts
/// as missed, and a text as changed, only if that happens in each of several attempts.
fn caught(
    mutant: &Mutant,
    case: Option<Case>,
    program: Program,
    root: &Path,
    recorded: &Recorded,
) -> Result<(), Failed> {
    const ATTEMPTS: usize = 10;
    let Mutant { name, wrong, caught_by, .. } = mutant;
    let Some(case) = case else {
        return Err(Failed::from(format!(
            "A server that {wrong} is not caught: there is no case {caught_by}."
        )));
    };
    let target = Target::Binary(program);
    let mut different = None;
    for number in 1..=ATTEMPTS {
        let profile = profile_for(is_event_driven(mutant), &case);
        let judge = || judge(&case, &profile, &target, root, Strictness::Contract);
        match with_timeout(Duration::from_secs(TIMEOUT.into()), judge) {
            Outcome::Passed => {}
            Outcome::Failed(failure) => {
                match recorded.compare(mutant, &failure.to_string()) {
                    Ok(()) if number == 1 => return Ok(()),
                    Ok(()) => {
                        let before =
                            different.unwrap_or_else(|| "it was not caught".to_owned());
                        eprintln!(
                            "mutant::{name} was caught at attempt {number}; before: {before}"
                        );
                        return Ok(());
                    }
                    Err(why) => different = Some(why),
                }
            }
            Outcome::Missing(missing) => return Err(Failed::from(missing.why)),
            Outcome::NotReached(why) => return Err(Failed::from(why)),
            Outcome::Skipped(why) => {
                eprintln!("mutant::{name} skipped: {why}");
                return Ok(());
            }
        }
    }
    Err(Failed::from(different.unwrap_or_else(|| {
        format!("A server that {wrong} is not caught: it passes {caught_by}.")
    })))
}
