//! The command: judge any server, misbehave at any server, print the matrix.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};

use client_suite::case::Case;
use client_suite::judge::{Measure, Offer, Outcome, Root, judge};
use client_suite::misbehave::Manner;
use client_suite::report::{self, Format, Line};
use client_suite::stage::{STAGES, Stage, YOURS};
use client_suite::target::Target;
use client_suite::verdict::Stop;
use client_suite::{cases, cleanup, fixture, matrix, misbehave, patience, surroundings};

/// One suite that judges any HTTP server at the wire.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Judges a server; what it does not offer is skipped, and said to be.
    Check(Check),
    /// Misbehaves at a server, and tells what it does and what it sees.
    Client {
        /// How.
        manner: Manner,
        /// At whom, as in `http://127.0.0.1:8080/plaintext`.
        url: String,
        /// So many connections (for flood and connect-silent).
        #[arg(long, default_value_t = 100)]
        count: usize,
        /// Milliseconds between two pieces (for drip).
        #[arg(long, default_value_t = 1000)]
        pace: u64,
    },
    /// Puts load on a server, and tells how it bears it.
    Load(client_suite::load::command::Load),
    /// Prints what each server of the book can do, as Markdown.
    Matrix {
        /// Servers up to this chapter.
        #[arg(long, default_value = "ch06", value_parser = level)]
        level: u8,
    },
    /// Prints every case: kind, citation, and what is expected.
    List,
    /// Makes the document root that a server judged by --url must serve.
    Files {
        /// A directory that is made; the root will be DIR/root.
        directory: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "target", required = true, multiple = false)]
struct Which {
    /// A command, with {port} or {listen}, {root}, and {head-timeout} and so on
    /// for the contract's options; {head-timeout-ms} for whole milliseconds.
    #[arg(long)]
    cmd: Option<String>,
    /// A program that takes the contract's options itself.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// A server that already runs.
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    target: Which,
    /// What a server must do at the end of this chapter.
    #[arg(long, default_value = "ch01", value_parser = level)]
    level: u8,
    /// The server of the book that yours is like, as in `iterative` or `epoll`.
    #[arg(long)]
    like: Option<String>,
    /// Judge by the standards alone: what the contract of the book chose is left out.
    #[arg(long)]
    standards: bool,
    /// Only this family (may be repeated).
    #[arg(long)]
    family: Vec<String>,
    /// Only cases whose name contains this.
    #[arg(long)]
    name: Option<String>,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Seconds of silence that are called a hang.
    #[arg(long, default_value_t = 15)]
    patience: u64,
    /// Cases at once (one, for a server that already runs).
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// The running server serves the suite's files (see `files`).
    #[arg(long)]
    files: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Json,
    Junit,
}

fn level(text: &str) -> Result<u8, String> {
    let digits = text.strip_prefix("ch").unwrap_or(text);
    match digits.parse() {
        Ok(level @ 1..=6) => Ok(level),
        _ => Err("a level is ch01 to ch06".to_owned()),
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("client-suite: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Check(check) => return judge_all(check),
        Task::Client { manner, url, count, pace } => {
            misbehave::run(manner, &url, count, pace)?
        }
        Task::Load(load) => load.run()?,
        Task::Matrix { level } => print!("{}", matrix::markdown(level)),
        Task::List => {
            for case in cases::all() {
                println!(
                    "{:44} {:8}  {} ({})",
                    case.full_name(),
                    case.kind.word(),
                    case.says,
                    case.cite
                );
            }
        }
        Task::Files { directory } => {
            surroundings::make_plain()?;
            std::fs::create_dir_all(&directory)?;
            let root = fixture::make(&directory.canonicalize()?)?;
            println!("{}", root.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn judge_all(check: Check) -> anyhow::Result<ExitCode> {
    surroundings::make_plain()?;
    cleanup::on_interrupt()?;
    patience::set_patience(check.patience);
    let stage = match &check.like {
        None => YOURS,
        Some(name) => *Stage::named(name).with_context(|| {
            let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
            format!(
                "no server of the book is named {name}; there are {}",
                names.join(", ")
            )
        })?,
    };
    let stage = Stage { level: check.level, ..stage };
    let (target, jobs) = match check.target {
        Which { cmd: Some(command), .. } => (Target::Command(command), check.jobs),
        Which { bin: Some(path), .. } => (Target::Binary(path), check.jobs),
        Which { url: Some(url), .. } => (Target::Url(url), 1),
        _ => bail!("--cmd, --bin or --url"),
    };
    if let Some(unknown) =
        check.family.iter().find(|family| !cases::families().contains(&family.as_str()))
    {
        bail!("no family is named {unknown}; there are {}", cases::families().join(", "));
    }
    let chosen = |case: &Case| {
        (check.family.is_empty()
            || check.family.iter().any(|family| family == case.family))
            && check.name.as_ref().is_none_or(|part| case.name.contains(part.as_str()))
    };
    let measure = if check.standards { Measure::Standards } else { Measure::Contract };
    let root = Root::new().context("cannot make a document root")?;
    let offer = match &target {
        // A server that says it takes the whole contract has no excuse.
        Target::Binary(_) => Offer::everything(),
        _ => Offer::probe(&target, &stage, &root.path, check.files).map_err(|stop| {
            match stop {
                Stop::Skip(why) => anyhow::anyhow!(why),
                Stop::Fail(fault) => {
                    anyhow::anyhow!("expected {}, but: {}", fault.expected, fault.came)
                }
            }
        })?,
    };
    let all: VecDeque<_> = cases::all().into_iter().filter(chosen).enumerate().collect();
    let lines = in_parallel(all, jobs, |case| {
        let skip = case
            .not_for(&stage)
            .or_else(|| measure.leaves_out(case))
            .or_else(|| offer.refuses(case).map(str::to_owned));
        skip.map_or_else(
            || judge(case, &stage, &target, &root.path, measure),
            Outcome::Skipped,
        )
    });
    let format = match check.format {
        Form::Text => Format::Text,
        Form::Json => Format::Json,
        Form::Junit => Format::Junit,
    };
    print!("{}", report::render(&lines, format));
    let (_, _, broken) = report::counts(&lines);
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Judges cases on several threads; the result is in the cases' order.
fn in_parallel(
    all: VecDeque<(usize, Case)>,
    jobs: usize,
    run: impl Fn(&Case) -> Outcome + Sync,
) -> Vec<Line> {
    let (queue, done) = (Mutex::new(all), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next =
                        queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((at, case)) = next else { break };
                    let outcome = run(&case);
                    let line = Line { case, outcome };
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, line));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, line)| line).collect()
}
