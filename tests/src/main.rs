//! The command `client-suite`: judges a server, misbehaves towards a server, generates load.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand, ValueEnum};

use client_suite::case::{Case, Need};
use client_suite::fixture::{self, Variant};
use client_suite::judge::{
    DocumentRoot, FAMILY_HANGS, Hangs, Outcome, Strictness, Support, judge,
};
use client_suite::matrix::Layout;
use client_suite::misbehave::Misbehavior;
use client_suite::profile::{PROFILES, ServerProfile, UNKNOWN};
use client_suite::report::{self, CaseReport, Counts, Format};
use client_suite::target::{OPTIONS, Program, Target};
use client_suite::verdict::{Abort, Missing};
use client_suite::{cases, cleanup, environment, matrix, misbehave, timeout};

/// One suite that judges any HTTP server at the wire.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge a server. A missing feature is a failure, unless --allow-missing names it.
    Check(Check),
    /// Misbehave towards a server, and print each event.
    Client {
        /// The kind of misbehavior.
        misbehavior: Misbehavior,
        /// The URL to request, such as `http://127.0.0.1:8080/plaintext`.
        url: String,
        /// Number of requests (flood) or connections (connect-silent).
        #[arg(long, default_value_t = 100)]
        count: usize,
        /// Milliseconds between two bytes (drip).
        #[arg(long, default_value_t = 1000)]
        pace: u64,
    },
    /// Measure how a server behaves under load.
    Load(client_suite::load::Load),
    /// Print what each server of the book can do, as a Markdown table.
    Matrix {
        /// Include servers up to this chapter.
        #[arg(long, default_value = "ch06", value_parser = level)]
        level: u8,
        /// Print a row for each server, not a column.
        #[arg(long)]
        rows: bool,
    },
    /// Print every case: name, kind, description, and source. The cases of the course's projects
    /// come last.
    List,
    /// Create the document root that a server judged with --url must serve.
    Files {
        /// Vary the files by this number, as `check --seed` does.
        #[arg(long)]
        seed: Option<u64>,
        /// The directory to create; the document root will be DIRECTORY/root.
        directory: PathBuf,
    },
}

#[derive(Debug, Clone, clap::Args)]
#[group(id = "target", required = true, multiple = false)]
struct TargetArgs {
    /// Start the server with this shell command. Placeholders: {port} or {listen}, {root}, and
    /// the contract's options, such as {head-timeout}; {head-timeout-ms} in milliseconds.
    #[arg(long)]
    cmd: Option<String>,
    /// Start this program, which takes the contract's options.
    #[arg(long)]
    bin: Option<PathBuf>,
    /// Judge the server that is already running at this URL.
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    target: TargetArgs,
    /// Judge by what a server must do at the end of this chapter.
    #[arg(long, default_value = "ch01", value_parser = level)]
    level: u8,
    /// The server of the book that yours resembles, such as `iterative` or `epoll`.
    #[arg(long)]
    like: Option<String>,
    /// Judge by the standards alone, without what only the book's contract demands.
    #[arg(long)]
    standards: bool,
    /// Run only the cases of this family (may be repeated). A project, such as project_pool, is
    /// judged only if it is named here.
    #[arg(long)]
    family: Vec<String>,
    /// Run only the cases whose name contains this text.
    #[arg(long)]
    name: Option<String>,
    /// The format of the report.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Seconds without progress after which a case fails.
    #[arg(long, default_value_t = 15)]
    timeout: u64,
    /// Number of cases to run at the same time (always one with --url).
    #[arg(long, default_value_t = 8)]
    jobs: usize,
    /// A feature that the server may lack (may be repeated, or separated by commas): plaintext,
    /// echo, sleep, bytes, stats, panic, files, an option of the contract such as head-timeout, or
    /// `options` for every option of the contract.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = missing)]
    allow_missing: Vec<String>,
    /// Print this many of the slowest cases at the end of a plain-text report.
    #[arg(long, value_name = "N", default_value_t = 0)]
    slowest: usize,
    /// Vary the names, contents and sizes of the files, and the places at which requests are cut,
    /// by this number: for example a different number for each student.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// With --url: the server serves the suite's files (created with `files`).
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
        _ => Err("must be one of ch01 to ch06".to_owned()),
    }
}

/// The name in `--allow-missing` that stands for every option of the contract.
const ALL_OPTIONS: &str = "options";

fn missing(name: &str) -> Result<String, String> {
    let needs = Need::DEMANDED.map(Need::name);
    let options = OPTIONS.iter().map(|(option, _)| *option);
    let known: Vec<_> = needs.into_iter().chain([ALL_OPTIONS]).chain(options).collect();
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("must be one of {}", known.join(", ")))
}

impl Check {
    /// Returns whether the server may lack this feature: if `--allow-missing` names it, or if the
    /// server is judged by the standards alone, which demand no routes and options.
    fn may_lack(&self, missing: &Missing) -> bool {
        let is_option = OPTIONS.iter().any(|(option, _)| *option == missing.name);
        self.standards
            || self.allow_missing.iter().any(|allowed| {
                allowed == missing.name || allowed == ALL_OPTIONS && is_option
            })
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

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(check) => return judge_all(&check),
        Command::Client { misbehavior, url, count, pace } => {
            misbehave::run(misbehavior, &url, count, pace)?
        }
        Command::Load(load) => load.run()?,
        Command::Matrix { level, rows } => {
            let layout = if rows { Layout::Rows } else { Layout::Columns };
            print!("{}", matrix::markdown(level, layout));
        }
        Command::List => {
            for case in cases::with_projects() {
                println!(
                    "{:44} {:8}  {} ({})",
                    case.full_name(),
                    case.kind.label(),
                    case.description,
                    case.cite
                );
            }
        }
        Command::Files { seed, directory } => {
            environment::normalize()?;
            std::fs::create_dir_all(&directory)?;
            let root = Variant::new(seed).make(&directory.canonicalize()?)?;
            println!("{}", root.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn judge_all(check: &Check) -> anyhow::Result<ExitCode> {
    environment::normalize()?;
    cleanup::on_interrupt()?;
    timeout::set_timeout(check.timeout);
    if let Some(seed) = check.seed {
        fixture::set_seed(seed);
    }
    let profile = match &check.like {
        None => UNKNOWN,
        Some(name) => *ServerProfile::by_name(name).with_context(|| {
            let names: Vec<_> = PROFILES.iter().map(|profile| profile.name).collect();
            format!(
                "unknown server {name}; the servers of the book are {}",
                names.join(", ")
            )
        })?,
    };
    let profile = ServerProfile { level: check.level, ..profile };
    let (target, jobs) = match check.target.clone() {
        TargetArgs { cmd: Some(command), .. } => (Target::Command(command), check.jobs),
        TargetArgs { bin: Some(path), .. } => {
            let command = path.display().to_string();
            (Target::Binary(Program { command, ..Program::from(path) }), check.jobs)
        }
        TargetArgs { url: Some(url), .. } => (Target::Url(url), 1),
        _ => bail!("one of --cmd, --bin, --url is required"),
    };
    if let Some(unknown) =
        check.family.iter().find(|family| !cases::known(family.as_str()))
    {
        bail!(
            "unknown family {unknown}; the families are {}",
            cases::families().join(", ")
        );
    }
    let chosen = |case: &Case| {
        (check.family.is_empty()
            || check.family.iter().any(|family| family == case.family))
            && check.name.as_ref().is_none_or(|part| case.name.contains(part.as_str()))
    };
    let strictness =
        if check.standards { Strictness::Standards } else { Strictness::Contract };
    let root = DocumentRoot::new().context("cannot create a document root")?;
    let support = match &target {
        // A program that takes the contract's options must offer every feature, so nothing is
        // probed.
        Target::Binary(_) => Support::everything(),
        _ => Support::probe(&target, &profile, &root.path, check.files).map_err(
            |stop| match stop {
                Abort::Skip(why) | Abort::Missing(Missing { why, .. }) => {
                    anyhow::anyhow!(why)
                }
                Abort::Fail(mismatch) => {
                    anyhow::anyhow!(
                        "expected {}, but: {}",
                        mismatch.expected,
                        mismatch.actual
                    )
                }
            },
        )?,
    };
    // A project is judged only if its family is named.
    let candidates = match check.family.is_empty() {
        true => cases::all(),
        false => cases::with_projects(),
    };
    let mut all: Vec<_> = candidates.into_iter().filter(chosen).enumerate().collect();
    if all.is_empty() {
        bail!(
            "no case has this name in these families; `client-suite list` prints all cases"
        );
    }
    all.sort_by_key(|(_, case)| Reverse(case.seconds));
    let hangs = Hangs::default();
    let lines = in_parallel(all.into(), jobs, |case| {
        let skip = case.skip_reason(&profile).or_else(|| strictness.skip_reason(case));
        let obstacle = skip.map(Outcome::Skipped).or_else(|| support.obstacle(case));
        let obstacle = obstacle.or_else(|| {
            hangs.exhausted(case).then(|| Outcome::NotReached(FAMILY_HANGS.to_owned()))
        });
        let (outcome, time) = match obstacle {
            Some(outcome) => (outcome, Duration::ZERO),
            None => {
                let start = Instant::now();
                let outcome = judge(case, &profile, &target, &root.path, strictness);
                let time = start.elapsed();
                hangs.record(case, &outcome, time);
                (outcome, time)
            }
        };
        let outcome = match outcome {
            Outcome::Missing(missing) if check.may_lack(&missing) => {
                Outcome::Skipped(missing.why)
            }
            outcome => outcome,
        };
        CaseReport { case: *case, outcome, time }
    });
    let format = match check.format {
        Form::Text => Format::Text,
        Form::Json => Format::Json,
        Form::Junit => Format::Junit,
    };
    print!("{}", report::render(&lines, format, check.slowest));
    Ok(if Counts::of(&lines).pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Judges the cases of a queue on `jobs` threads, which start the cases in the order of the queue.
/// The results are sorted by the numbers given with the cases.
fn in_parallel(
    all: VecDeque<(usize, Case)>,
    jobs: usize,
    run: impl Fn(&Case) -> CaseReport + Sync,
) -> Vec<CaseReport> {
    let (queue, done) = (Mutex::new(all), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next =
                        queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((at, case)) = next else { break };
                    let line = run(&case);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, line));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, line)| line).collect()
}
