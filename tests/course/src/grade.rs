//! Grading: a plan, a submission, and a report with points.
//!
//! ```text
//!   PLAN.toml ──► plan ───► report (zeros) ──────────────┬──► format: text, JSON, JUnit, …
//!                                                        │
//!   submission ──► build ──► target ──► the suite's cases┘
//!                 └────────── sandbox ──────────┘
//! ```
//!
//! [`plan`] says what is judged. [`submission`] takes the files that the plan names, and [`build`]
//! compiles them, with the libraries and the compiler that all submissions share ([`cache`]).
//! [`sandbox`] runs the programs of a submission, each under the rights and limits of a
//! [`confinement`], and deletes what the submission leaves behind (`traces`). [`report`] counts the
//! points, [`mod@format`] writes the report, and [`check`] proves a plan.

pub mod build;
pub mod cache;
pub mod check;
pub mod confinement;
pub mod format;
mod pattern;
pub mod plan;
pub mod plan_error;
pub mod points;
mod processes;
pub mod report;
pub mod run_as;
pub mod sandbox;
pub mod submission;
mod traces;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use client_suite::case::Case;
use client_suite::failure::Failure;
use client_suite::judge::{DocumentRoot, Hangs, MOST_HANGS, Outcome, Support};
use client_suite::profile::ServerProfile;
use client_suite::report::CaseReport;
use client_suite::target::{Program, Target};
use client_suite::verdict::{Abort, Mismatch, Missing, is_known_before};

use crate::gate;
use crate::ladder::checkout;
use format::Format;
use plan::{Part, Plan};
use report::{PartReport, Report, not_reached};
use run_as::RunAs;
use sandbox::{Sandbox, Watch};
use submission::Files;

/// The number of cases that run at the same time.
const AT_ONCE: usize = 8;

/// Maximum number of characters that a report quotes from one output of a submission or of its
/// compiler.
const MOST_OUTPUT: usize = 8000;

/// Shortens a text to its last [`MOST_OUTPUT`] characters, with an ellipsis in place of the rest.
fn cut(text: String) -> String {
    match text.char_indices().rev().nth(MOST_OUTPUT) {
        Some((at, _)) => format!("…{}", &text[at..]),
        None => text,
    }
}

/// A submission that is graded, in one of four forms.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// A directory with the files that the plan names.
    Directory(PathBuf),
    /// The files that the plan names: paths and contents.
    Files(Files),
    /// A program, and arguments that precede those that the suite gives it.
    Program(PathBuf, Vec<String>),
    /// A shell command that starts the server, with placeholders such as `{port}` for the suite to
    /// fill in.
    Command(String),
}

impl Submitted {
    /// Returns the name by which reports refer to the submission, such as the name of its
    /// directory.
    fn name(&self) -> String {
        let path = match self {
            Self::Directory(path) | Self::Program(path, _) => path,
            Self::Files(_) => return "files".to_owned(),
            Self::Command(command) => return command.clone(),
        };
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        let name = whole.file_name().unwrap_or(whole.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

/// The settings for grading a submission.
#[derive(Debug)]
pub struct Settings {
    /// The user that the submission runs as.
    pub run_as: RunAs,
    /// The seed by which the suite varies the files that it expects a server to serve; `None` for
    /// the same files in each run.
    pub seed: Option<u64>,
    /// The file to which the report is written, before anything runs and again after each part;
    /// `None` to write no file.
    pub out: Option<PathBuf>,
    /// The format in which the report is written.
    pub format: Format,
    /// The plan's file, which a submission should not read.
    pub secret: PathBuf,
}

impl Settings {
    /// Returns the directory of the report's file, or `None` if the report is not written to a
    /// file.
    fn directory(&self) -> Option<&Path> {
        let parent = self.out.as_deref()?.parent()?;
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// Creates the directory of the report's file if it is missing. Fails if another user, such as
    /// the submission's, could replace the report there.
    fn prepare_directory(&self) -> anyhow::Result<()> {
        let Some(directory) = self.directory() else { return Ok(()) };
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let metadata = directory.metadata();
        let metadata = metadata.with_context(|| directory.display().to_string())?;
        let (mode, owner) = (metadata.mode(), metadata.uid());
        ensure!(
            owner == 0 || owner == nix::unistd::geteuid().as_raw(),
            "{} belongs to another user, which can replace the report: choose another directory for --out",
            directory.display()
        );
        // A sticky directory, such as /tmp, is accepted although every user can write there: one
        // user cannot replace the files of another in it.
        ensure!(
            mode & 0o1002 != 0o002,
            "every user can replace files in {}: choose another directory for --out",
            directory.display()
        );
        Ok(())
    }

    /// Writes the report to its file, if there is one. The file is replaced in one step
    /// (rename(2)), so it is complete at all times. It has the mode 0600 of a temporary file: other
    /// users, and with them later submissions, cannot read it.
    fn save(&self, report: &Report) -> anyhow::Result<()> {
        let (Some(path), Some(directory)) = (&self.out, self.directory()) else {
            return Ok(());
        };
        let mut file = tempfile::NamedTempFile::new_in(directory)
            .with_context(|| path.display().to_string())?;
        file.write_all(format::render(report, self.format).as_bytes())?;
        file.persist(path).with_context(|| path.display().to_string())?;
        Ok(())
    }
}

/// Grades a submission. If the submission cannot be built or started, its report has zeros; an
/// error is returned only if the grader itself fails.
///
/// # Errors
///
/// Fails if the report cannot be written, if the sandbox's limits do not hold, or if the suite
/// cannot judge.
pub fn grade(
    plan: &Plan,
    submitted: &Submitted,
    settings: &Settings,
) -> anyhow::Result<Report> {
    settings.prepare_directory()?;
    let mut report = Report::zeros(plan, &submitted.name(), settings.seed);
    settings.save(&report)?;
    let sandbox = Sandbox::new(settings.run_as, &plan.limits)?;
    report.not_contained = sandbox.not_contained(&settings.secret);
    let (target, notes) = prepare(plan, submitted, &sandbox)?;
    report.notes.extend(notes);
    match target {
        Ok(target) => judge_all(plan, &target, &sandbox, settings, &mut report)?,
        Err(why) => {
            for part in &mut report.parts {
                part.cases = not_reached(&part.part, &why);
            }
        }
    }
    sandbox.close()?;
    report.complete = true;
    settings.save(&report)?;
    Ok(report)
}

/// The result of preparing a submission: a target for the suite, or the reason why there is none;
/// and notes for the student.
type Prepared = (Result<Target, String>, Vec<String>);

/// Makes a submission ready to be judged: compiles its files if it has any, and returns a target
/// that the suite can start in the sandbox.
fn prepare(
    plan: &Plan,
    submitted: &Submitted,
    sandbox: &Sandbox,
) -> anyhow::Result<Prepared> {
    let (files, mut notes) = match submitted {
        Submitted::Directory(directory) => {
            ensure!(directory.is_dir(), "{} is no directory", directory.display());
            submission::take(directory, &plan.files)
        }
        Submitted::Files(files) => (files.clone(), Vec::new()),
        Submitted::Program(path, arguments) => {
            let path = path.canonicalize().with_context(|| path.display().to_string())?;
            let name = path.file_name().context("the program has no name")?;
            let name = name.to_string_lossy().into_owned();
            let copy = sandbox.adopt(&name, &path)?;
            let target = program(plan, &name, &copy, arguments, sandbox)?;
            return Ok((Ok(target), Vec::new()));
        }
        Submitted::Command(command) => {
            let here = std::env::current_dir()?;
            ensure!(
                sandbox.can_enter(&here)?,
                "the submission's user cannot enter {}, where --cmd is run: run `course grade` in a directory that \
                 every user can enter, or open this one and those above it (`chmod o+x`)",
                here.display()
            );
            let target = Target::Command(sandbox.wrap_command(command, &here)?);
            return Ok((Ok(target), Vec::new()));
        }
    };
    let starter = build::starter_files(plan)?;
    let most = Duration::from_secs(plan.limits.build_seconds);
    let built = match (&plan.program, &plan.run) {
        (Some(name), _) => {
            let shared = cache::directory(&checkout())?;
            let base = build::Base::find(&shared, &starter, name)?;
            let built = base.build(&files, sandbox, most)?;
            built.map(|path| program(plan, name, &path, &[], sandbox))
        }
        (None, Some(command)) => {
            let built = build::build_by_command(plan, &starter, &files, sandbox)?;
            let command = |directory: PathBuf| {
                Ok(Target::Command(sandbox.wrap_command(command, &directory)?))
            };
            built.map(command)
        }
        (None, None) => {
            anyhow::bail!("the plan has no `starter`: grade with --bin or --cmd")
        }
    };
    let target = match built {
        Ok(target) => Ok(target?),
        Err(output) => {
            notes.push(format!("It does not compile:\n{}", cut(output)));
            Err("it does not compile".to_owned())
        }
    };
    Ok((target, notes))
}

/// Returns a target that starts a program of the submission in the sandbox.
fn program(
    plan: &Plan,
    name: &str,
    path: &Path,
    arguments: &[String],
    sandbox: &Sandbox,
) -> anyhow::Result<Target> {
    let script = sandbox.wrap(name, path, arguments)?;
    let Some(options) = &plan.options else {
        let program = Program { command: name.to_owned(), ..Program::from(script) };
        return Ok(Target::Binary(program));
    };
    let mut command = format!("{} --listen {{listen}} --root {{root}}", script.display());
    for option in options {
        command += &format!(" --{option} {{{option}}}");
    }
    Ok(Target::Command(command))
}

/// Judges all parts of a plan, and enters the results in the report.
fn judge_all(
    plan: &Plan,
    target: &Target,
    sandbox: &Sandbox,
    settings: &Settings,
    report: &mut Report,
) -> anyhow::Result<()> {
    let root = DocumentRoot::new().context("cannot create a document root")?;
    let judge = Judge { profile: plan.profile()?, target, root: &root.path };
    let support = match target {
        // A program is assumed to offer every feature that the plan demands. A command may lack
        // placeholders, so the suite first finds out (probes) which features its server offers.
        Target::Binary(_) => Ok(Support::everything()),
        _ => {
            let most = Duration::from_secs(plan.timeout * 4);
            let probe = || Support::probe(target, &judge.profile, &root.path, false);
            let (support, stopped) = sandbox.watched(Instant::now() + most, |_| probe());
            sandbox.kill_all();
            support.map_err(|abort| match (stopped, abort) {
                (Some(why), _) => why,
                (None, Abort::Skip(why) | Abort::Missing(Missing { why, .. })) => why,
                (None, Abort::Fail(Mismatch { expected, actual })) => {
                    format!("expected {expected}, but: {}", cut(actual))
                }
            })
        }
    };
    for index in 0..report.parts.len() {
        let part = report.parts[index].part.clone();
        let cases = match (&support, report.unmet_need(&part)) {
            (_, Some(need)) => not_reached(
                &part,
                &format!("it needs the part {need}, which has no points"),
            ),
            (Err(why), None) => {
                not_reached(&part, &format!("the server does not start: {why}"))
            }
            (Ok(support), None) => judge.part(&part, support, sandbox),
        };
        let mut judged = PartReport { part, cases };
        if plan.options.is_some() {
            name_options(&mut judged.cases);
        }
        judged.end_after_hangs();
        report.parts[index] = judged;
        settings.save(report)?;
    }
    Ok(())
}

/// Corrects the reason why cases were not judged, for cases that set an option which the plan does
/// not list. The suite's reason is that the server's command lacks a placeholder. But the grader
/// makes this command from the plan's `options`, so the new reason is that `options` does not list
/// the option.
fn name_options(cases: &mut [CaseReport]) {
    for entry in cases {
        if let Outcome::Missing(missing) = &mut entry.outcome
            && plan::options().any(|option| option == missing.name)
        {
            missing.why = format!("the plan's `options` do not list {:?}", missing.name);
        }
    }
}

/// A server to judge, with its profile and the suite's document root.
struct Judge<'a> {
    profile: ServerProfile,
    target: &'a Target,
    root: &'a Path,
}

impl Judge<'_> {
    /// Judges a part's cases, several at the same time. A case that fails without hanging is judged
    /// once more at the end, while no other case runs: on a busy machine a correct server may be
    /// too slow.
    fn part(&self, part: &Part, support: &Support, sandbox: &Sandbox) -> Vec<CaseReport> {
        let (hangs, next) = (Hangs::default(), AtomicUsize::new(0));
        let deadline = Instant::now() + Duration::from_secs(part.seconds);
        let done: Mutex<Vec<(usize, CaseReport)>> = Mutex::new(Vec::new());
        let (mut cases, _) = sandbox.watched(deadline, |watch| {
            thread::scope(|scope| {
                for _ in 0..AT_ONCE.min(part.chosen.len()) {
                    scope.spawn(|| {
                        while let Some((index, case)) = {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            part.chosen.get(index).map(|case| (index, case))
                        } {
                            let entry = self.case(case, support, &hangs, watch);
                            let mut done =
                                done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.push((index, entry));
                        }
                    });
                }
            });
            let mut cases = done.into_inner().unwrap_or_else(PoisonError::into_inner);
            cases.sort_by_key(|(index, _)| *index);
            let mut cases: Vec<_> = cases.into_iter().map(|(_, entry)| entry).collect();
            let again = |entry: &&mut CaseReport| {
                let failed = matches!(entry.outcome, Outcome::Failed(_));
                failed && !Hangs::is_hang(&entry.outcome, entry.time)
            };
            for entry in cases.iter_mut().filter(again) {
                let second = self.case(&entry.case, support, &hangs, watch);
                if matches!(second.outcome, Outcome::Passed) {
                    *entry = second;
                }
            }
            cases
        });
        sandbox.kill_all();
        sandbox.reap();
        for entry in &mut cases {
            if let Outcome::Failed(failure) = &mut entry.outcome {
                failure.start = sandbox.by_hand(&failure.start);
            }
        }
        cases
    }

    /// Judges a case. The case is not tried if the submission has been stopped because of a limit,
    /// if too many cases have hung, or if the server lacks a feature that the case needs.
    fn case(
        &self,
        case: &Case,
        support: &Support,
        hangs: &Hangs,
        watch: &Watch,
    ) -> CaseReport {
        let over = || watch.stopped().map(Outcome::NotReached);
        let hung = || {
            let reason = || Outcome::NotReached(report::HANGS.to_owned());
            (hangs.total() >= MOST_HANGS).then(reason)
        };
        let obstacle = over().or_else(hung).or_else(|| support.obstacle(case));
        let start = Instant::now();
        let outcome = match obstacle {
            Some(outcome) => outcome,
            None => {
                let outcome = gate::outcome(case, &self.profile, self.target, self.root);
                hangs.record(case, &outcome, start.elapsed());
                // If the submission exceeded a limit during the case and was stopped, the failure
                // says nothing about the server, so the limit is reported instead.
                match (outcome, over()) {
                    (Outcome::Failed(_), Some(over)) => over,
                    (Outcome::Failed(failure), None) => {
                        Outcome::Failed(Box::new(Failure {
                            actual: cut(failure.actual),
                            stderr: cut(failure.stderr),
                            ..*failure
                        }))
                    }
                    // The server may have caused any reason for a skip that was not known before
                    // the server started. So the case counts, and scores zero.
                    (Outcome::Skipped(why), _) if !is_known_before(&why) => {
                        Outcome::NotReached(why)
                    }
                    (outcome, _) => outcome,
                }
            }
        };
        CaseReport { case: *case, outcome, time: start.elapsed() }
    }
}

/// Writes an example plan, which an instructor then edits.
///
/// # Errors
///
/// Fails if the file exists already, or cannot be written.
pub fn new_plan(path: &Path) -> anyhow::Result<()> {
    let new = fs::File::options().write(true).create_new(true).open(path);
    let mut file = new.with_context(|| path.display().to_string())?;
    file.write_all(include_bytes!("grade/example.toml"))?;
    Ok(())
}
