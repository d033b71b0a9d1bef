//! A test suite for HTTP servers, run from the client's side of the connection. It judges every
//! server of the book, and any other HTTP server.
//!
//! A [`case::Case`] tests one promise; [`cases::all`] is the table of all cases. A
//! [`profile::ServerProfile`] lists the capabilities of a server. [`judge::judge`] runs one case
//! against one server. Verdicts come from the order of events, never from a stopwatch, and each
//! case is judged once: a case that fails is not retried.

pub mod case;
pub mod cases;
pub mod cleanup;
pub mod client;
pub mod ctx;
pub mod environment;
pub mod failure;
pub mod fixture;
pub mod judge;
pub mod load;
pub mod matrix;
pub mod misbehave;
mod output;
pub mod port;
pub mod proc;
mod receive;
pub mod receive_queue;
pub mod report;
pub mod response;
pub mod rlimits;
pub mod scripts;
mod send;
pub mod server;
pub mod show;
pub mod small;
mod sys;
pub mod target;
pub mod timeout;
pub mod transcript;
pub mod verdict;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use libtest_mimic::{Arguments, Failed, Trial};
pub use profiles as profile;

use judge::{DocumentRoot, Outcome, Strictness, judge};
use profile::ServerProfile;
use small::{Lists, SmallServer};
use target::{Program, Target};

/// The number of cases that run at the same time: much larger than the number of processors,
/// because most cases wait for a deadline or a process.
const CASES_AT_ONCE: usize = 96;

/// Runs the suite as a chapter's test binary.
///
/// `servers` lists the chapter's finished servers: a profile's name, optionally followed by
/// options, and the path of the binary. `small` lists the chapter's small servers, and `lists` is
/// the directory of their lists of cases. All are judged by one program, so that cases of a
/// finished server run while those of a small server wait: a small server's deadlines cannot be
/// shortened.
///
/// Every case is a named test, such as `thread::pipelining::mixed_methods`, and the command line is
/// that of `cargo test`.
pub fn main_for(
    chapter: &str,
    servers: &[(&str, &str)],
    small: &[SmallServer],
    lists: &str,
) -> ExitCode {
    match run(servers, small, Path::new(lists)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{chapter}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the suite, and returns whether no case has failed.
fn run(
    servers: &[(&str, &str)],
    small: &[SmallServer],
    lists: &Path,
) -> anyhow::Result<bool> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(CASES_AT_ONCE);
    environment::normalize()?;
    cleanup::on_interrupt()?;
    let root = DocumentRoot::new().context("cannot create a document root")?;
    let root = Arc::new(root);
    let mut trials = Vec::new();
    for (name, binary) in servers {
        let (word, options) = name.split_once(' ').unwrap_or((name, ""));
        let profile = ServerProfile::by_name(word).with_context(|| {
            format!("{word} is not in the table of servers (tests/profiles)")
        })?;
        let program = Program {
            path: PathBuf::from(binary),
            arguments: options.split_whitespace().map(str::to_owned).collect(),
            command: format!("cargo run --bin {word} -- {options}").trim_end().to_owned(),
            source: profile.source(),
        };
        trials.extend(trials_for(name, profile, &program, &root));
    }
    let mut lists = Lists::new(lists);
    for server in small {
        trials.extend(lists.trials_for(server, &root)?);
    }
    // `small-spin::routes` contains the filter `spin::`, but belongs to another server.
    if let Some(filter) = &arguments.filter
        && servers.iter().any(|(name, _)| filter.starts_with(&format!("{name}::")))
    {
        trials.retain(|(.., trial)| trial.name().starts_with(filter));
    }
    let conclusion = libtest_mimic::run(&arguments, waits_spread(trials));
    lists.save()?;
    Ok(!conclusion.has_failed())
}

/// Orders trials (named tests), each given with its duration in seconds and its index. The threads
/// that run the trials take them in this order.
///
/// Trials of one second or more mostly wait. They come longest first, and are spread evenly between
/// the first half of the shorter trials: the processors have work from the first second on, and no
/// long trial still runs when all other trials have ended. Trials with the same duration and index
/// (one case on several servers) are neighbors.
pub fn waits_spread(mut trials: Vec<(u8, usize, Trial)>) -> Vec<Trial> {
    trials.sort_by_key(|&(seconds, index, _)| (Reverse(seconds), index));
    let split = trials.partition_point(|&(seconds, ..)| seconds > 0);
    let quick = trials.split_off(split);
    let (waits, rest) = (trials.len(), quick.len());
    // The positions i / waits / 2 and i / rest are fractions of the whole; both are multiplied by
    // waits * rest.
    let waiting = trials.into_iter().enumerate().map(|(i, trial)| (i * rest / 2, trial));
    let quick = quick.into_iter().enumerate().map(|(i, trial)| (i * waits, trial));
    let mut all: Vec<_> = waiting.chain(quick).collect();
    all.sort_by_key(|&(position, _)| position);
    all.into_iter().map(|(_, (.., trial))| trial).collect()
}

/// Returns the cases for one server as trials (named tests), each with its duration in seconds and
/// its index.
fn trials_for(
    server: &str,
    profile: &'static ServerProfile,
    program: &Program,
    root: &Arc<DocumentRoot>,
) -> Vec<(u8, usize, Trial)> {
    let trial = |(index, case): (usize, case::Case)| {
        let (root, target) = (Arc::clone(root), Target::Binary(program.clone()));
        let name = format!("{server}::{}", case.full_name());
        let trial = Trial::test(name, move || {
            match judge(&case, profile, &target, &root.path, Strictness::Contract) {
                Outcome::Passed => Ok(()),
                Outcome::Failed(failure) => Err(Failed::from(failure.to_string())),
                Outcome::Missing(missing) => Err(Failed::from(missing.why)),
                Outcome::NotReached(why) => Err(Failed::from(why)),
                // The book's servers must offer every feature, so a case is skipped only if the
                // operating system lacks something.
                Outcome::Skipped(why) => {
                    eprintln!("{}::{} skipped: {why}", profile.name, case.full_name());
                    Ok(())
                }
            }
        })
        .with_kind(case.kind.label())
        .with_ignored_flag(!profile.runs_here());
        (case.seconds, index, trial)
    };
    cases::all()
        .into_iter()
        .enumerate()
        .filter(|(_, case)| case.skip_reason(profile).is_none())
        .map(trial)
        .collect()
}
