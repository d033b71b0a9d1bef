//! The command `course`. It makes a learner's crate, whose code has a hole for each step; judges
//! the steps; and proves the ladder, the ordered list of all steps: each step's gate, a set of
//! checks, must fail while the step's hole is open, and pass with the book's own code. It also
//! grades submissions: see [`crate::grade`].

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use client_suite::{cases, cleanup, environment, fixture, timeout};

use crate::grade::confinement::Confinement;
use crate::grade::format::{Format, render};
use crate::grade::plan::Plan;
use crate::grade::run_as::RunAs;
use crate::grade::{Settings, Submitted, check, grade, new_plan};
use crate::ladder::{DEEP, MAIN, Track};
use crate::{gates, hunt, rungs, starter, step};

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
    /// Judge your current step (this is `cargo step` in your crate).
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
    /// Judge a server in any language by groups of cases, the rungs, one rung after another.
    Climb {
        /// Start the server with this shell command. The command contains `{port}` or `{listen}`,
        /// and those of the contract's options that the server has, such as
        /// `--head-timeout {head-timeout}`.
        #[arg(long)]
        cmd: String,
    },
    /// Prove every step: its gate fails while its hole is open, and passes when the hole is filled.
    Gates {
        /// Prove only this track: main or deep.
        #[arg(long)]
        track: Option<String>,
        /// Record the cases that prove each step, instead of comparing them with the recorded ones.
        #[arg(long)]
        record: bool,
        /// Prove only the steps whose names contain this text.
        #[arg(long)]
        step: Option<String>,
    },
    /// Write a plan to begin with: an assignment with three parts, every key explained.
    NewPlan {
        /// The file to create.
        file: PathBuf,
    },
    /// Prove a plan: the reference solution has all points, the starter has none, and each part's
    /// stub loses points in its own part only.
    Check {
        /// The plan to prove.
        #[arg(required_unless_present = "mutants")]
        plan: Option<PathBuf>,
        /// Prove that every mutant of this program, which is for a graded hunt, passes the public
        /// suite, so that no public case gives a mutant away. This takes up to a minute for each
        /// mutant.
        #[arg(long, value_name = "PROGRAM", conflicts_with = "plan")]
        mutants: Option<PathBuf>,
        /// A seed that varies the names, contents and sizes of the suite's files, and the places at
        /// which the suite cuts requests in two.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Grade a submission by a plan.
    #[command(after_help = NOT_CONTAINED)]
    Grade(Grade),
    /// Assign a server with one mistake, a mutant, to a student; hand it out, and grade the client
    /// that finds the mistake.
    Hunt(hunt::Options),
    /// Run a program of a submission with limited rights; `grade` runs all of a submission's
    /// programs in this way.
    #[command(hide = true)]
    Contain {
        /// The rights and limits of the program, as JSON.
        confinement: String,
        /// What to do with these rights and limits.
        action: Contained,
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

/// The end of the help text of `grade`: what the sandbox limits, and what it does not.
const NOT_CONTAINED: &str = "As root with --user, the submission's build and server run as that user: with limits on processes, memory,
files, descriptors and processor time, and without the grader's environment and terminal. They can write in one directory of their
own, and where every user can write, such as /tmp. At the end all their processes are killed, and what they have written is deleted;
if something cannot be killed or deleted, the grading fails (exit status 2).

Not contained: the network (loopback included), reading what every user can read, and slowing the machine down. If that is not
enough, grade in a container or a virtual machine. Each report says what does not hold on its machine.";

/// An action of the hidden command `contain`, taken with the rights and limits of a confinement.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Contained {
    /// Execute the program, with its arguments.
    Run,
    /// Try to exceed each limit, and print the limits that did not hold.
    Prove,
    /// Kill all processes of the confinement's user.
    Kill,
}

/// The exit status of `course grade` is 0 if the submission has all points, 1 if it has fewer, and
/// 2 if the grader itself has failed.
#[derive(Debug, clap::Args)]
struct Grade {
    /// The file of the plan to grade by.
    plan: PathBuf,
    #[command(flatten)]
    submitted: SubmittedArgs,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the report to this file: first with zeros, then after each part. Without this option,
    /// the report is printed at the end.
    #[arg(long)]
    out: Option<PathBuf>,
    /// A seed that varies the names, contents and sizes of the suite's files, and the places at
    /// which the suite cuts requests in two.
    #[arg(long)]
    seed: Option<u64>,
    /// The user, by name or number, that builds and runs the submission. Nothing else may run as
    /// this user, because all the user's processes are killed.
    #[arg(long)]
    user: Option<String>,
    /// The submission is your own: if you are root, run it as root instead of as another user.
    #[arg(long, conflicts_with = "user")]
    trusted: bool,
}

#[derive(Debug, clap::Args)]
#[group(id = "submitted", required = true, multiple = false)]
struct SubmittedArgs {
    /// Grade the files in this directory that the plan names.
    #[arg(long, value_name = "DIR")]
    submission: Option<PathBuf>,
    /// Grade this program, which takes the contract's options.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Grade the server that this shell command starts. The command contains `{port}` or
    /// `{listen}`, and those of the contract's options that the server has, such as
    /// `--head-timeout {head-timeout}`.
    #[arg(long, value_name = "TEMPLATE")]
    cmd: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give the next hint.
    Hint,
    /// Show how your functions differ from the book's, for the step that you work on or, if you
    /// have not begun it, for the step before it.
    Show {
        /// Show this step: its name or its number.
        step: Option<String>,
    },
    /// Put the holes of your current step back; a git branch keeps your code.
    Reset,
    /// List all steps.
    List,
    /// Merge a newer edition of the course into your crate.
    Update,
}

/// Runs the command `course` with this process's arguments.
///
/// A crate that adds its own cases to the suite has a program of its own, which also calls this
/// function.
pub fn main() -> ExitCode {
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
        Command::NewPlan { file } => {
            new_plan(&file)?;
            println!(
                "{} is written. Edit it, and run `course check` on it.",
                file.display()
            );
            Ok(true)
        }
        Command::Check { plan: Some(path), seed, .. } => {
            let plan = load(&path, seed)?;
            check::check(&path, &plan, seed)
        }
        Command::Check { plan: None, mutants, .. } => {
            environment::normalize()?;
            cleanup::on_interrupt()?;
            hunt::check(&mutants.unwrap_or_default())
        }
        Command::Grade(arguments) => run_grade(arguments),
        Command::Hunt(options) => {
            environment::normalize()?;
            cleanup::on_interrupt()?;
            hunt::run(&options)
        }
        Command::Contain { confinement, action, command } => {
            let confinement: Confinement = serde_json::from_str(&confinement)?;
            match action {
                Contained::Run => {
                    let (program, arguments) =
                        command.split_first().context("no program")?;
                    confinement.exec(Path::new(program), arguments)?;
                }
                Contained::Prove => {
                    println!("{}", serde_json::to_string(&confinement.prove()?)?);
                }
                Contained::Kill => confinement.kill()?,
            }
            Ok(true)
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
                Some(Action::Hint) => print(&session.hint()?)?,
                Some(Action::Show { step }) => print(&session.show(step.as_deref())?)?,
                Some(Action::Reset) => session.reset()?,
                Some(Action::List) => print(&session.list())?,
                Some(Action::Update) => session.update()?,
            }
            Ok(true)
        }
    }
}

/// Prints a text. A reader that has ended early, as in `cargo step show | head`, is no error.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Reads a plan, and prepares this process to judge by it: sets the seed, if one is given, and the
/// suite's timeout; makes the process environment independent of the parent process; and installs a
/// handler that kills all servers on an interrupt.
fn load(path: &Path, seed: Option<u64>) -> anyhow::Result<Plan> {
    if let Some(seed) = seed {
        fixture::set_seed(seed);
    }
    let plan = Plan::load(path, &cases::with_projects())?;
    environment::normalize()?;
    cleanup::on_interrupt()?;
    timeout::set_timeout(plan.timeout);
    Ok(plan)
}

fn run_grade(arguments: Grade) -> anyhow::Result<bool> {
    let plan = load(&arguments.plan, arguments.seed)?;
    let user = arguments.user.as_deref().or(plan.user.as_deref());
    let user = user.filter(|_| !arguments.trusted);
    let settings = Settings {
        run_as: RunAs::find(user, arguments.trusted)?,
        seed: arguments.seed,
        out: arguments.out,
        format: arguments.format,
        secret: arguments.plan,
    };
    let submitted = match arguments.submitted {
        SubmittedArgs { submission: Some(path), .. } => Submitted::Directory(path),
        SubmittedArgs { bin: Some(path), .. } => Submitted::Program(path, Vec::new()),
        SubmittedArgs { cmd, .. } => Submitted::Command(cmd.unwrap_or_default()),
    };
    let report = grade(&plan, &submitted, &settings)?;
    match &settings.out {
        None => print!("{}", render(&report, settings.format)),
        Some(path) => println!(
            "{} of {} points: {}",
            report.earned(),
            report.possible(),
            path.display()
        ),
    }
    Ok(report.is_perfect())
}
