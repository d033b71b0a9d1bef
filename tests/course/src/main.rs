//! The command `course`: makes a learner's crate, judges its steps, and proves the ladder, which
//! is the ordered list of all steps: each step's gate fails while the step is open, and passes
//! with the reference.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use course::ladder::{DEEP, MAIN, Track};
use course::{gates, rungs, starter, step};

/// A ladder of steps: the book's servers with holes, filled by the reader and judged by the suite.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a crate of your own, with holes to fill.
    New {
        /// The directory to create.
        directory: PathBuf,
        /// Take this chapter's finished servers, such as ch05, in place of the small ones.
        #[arg(long, value_name = "CHAPTER")]
        finished: Option<String>,
    },
    /// Judge the step where you are (this is `cargo step` in your crate).
    Step {
        #[command(subcommand)]
        action: Option<Action>,
        /// Judge again after every change.
        #[arg(long)]
        watch: bool,
        /// Judge every step again, from the first.
        #[arg(long)]
        all: bool,
    },
    /// Judge a server in any language, rung by rung.
    Climb {
        /// Start the server with this shell command, which contains `{port}` or `{listen}`, and
        /// the contract's options that it has, such as `--head-timeout {head-timeout}`.
        #[arg(long)]
        cmd: String,
    },
    /// Prove every step: its gate is red while its hole is open, and green when it is filled.
    Gates {
        /// Only this track: main or deep.
        #[arg(long)]
        track: Option<String>,
        /// Record which cases prove that, instead of comparing.
        #[arg(long)]
        record: bool,
        /// Only the steps of which the name contains this text.
        #[arg(long)]
        step: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give the next hint.
    Hint,
    /// Show the difference between your functions and the book's.
    Show,
    /// Put the holes of this step back; what was there is kept in a branch.
    Reset,
    /// List all steps.
    List,
    /// Take over a newer course.
    Update,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("course: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::New { directory, finished } => {
            let track = Track::load(finished.as_deref().unwrap_or(MAIN))?;
            starter::create(&directory, &track)?;
            println!(
                "{} is made: {} steps. Go there, and run `cargo step`.",
                directory.display(),
                track.steps.len()
            );
            Ok(true)
        }
        Command::Climb { cmd } => {
            step::prepare()?;
            rungs::climb(&cmd)
        }
        Command::Gates { track, record, step } => {
            step::prepare()?;
            let only = step.as_deref();
            match track {
                Some(track) => gates::run(&track, record, only),
                None => {
                    Ok(gates::run(MAIN, record, only)? & gates::run(DEEP, record, only)?)
                }
            }
        }
        Command::Step { action, watch, all } => {
            let mut session = step::Session::open()?;
            match action {
                None => {
                    step::prepare()?;
                    if watch {
                        return session.watch().map(|()| true);
                    }
                    return session.judge(all);
                }
                Some(Action::Hint) => session.hint()?,
                Some(Action::Show) => session.show()?,
                Some(Action::Reset) => session.reset()?,
                Some(Action::List) => session.list(),
                Some(Action::Update) => session.update()?,
            }
            Ok(true)
        }
    }
}
