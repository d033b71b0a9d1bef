//! Judges small servers: programs that keep some promises of the contract, and are known not to
//! keep others.
//!
//! Each small server has a list, `tests/small/NAME.txt` in its chapter, with a line for every case
//! that applies: `pass`, or `fail` with the reason in a few words. The test fails if a case passes
//! or fails against its line in the list. `varies` marks a case that passes only sometimes, because
//! it depends on timing whether the client notices what the server lacks.
//!
//! An ambiguous message may be refused with the wrong status, but never be interpreted in a second
//! way. So a failing case of the families about the end of a message is judged once more, with
//! [`Strictness::Refusal`]: any refusal is accepted if the server then closes the connection and
//! answers nothing that follows the refused message. If the case fails again, the test fails,
//! whatever the list says.
//!
//! With the environment variable `RECORD` set, the test renews the lists. A new failure is recorded
//! with the reason `?`, which no test accepts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, io};

use libtest_mimic::{Failed, Trial};

use crate::case::{Case, Need};
use crate::judge::{DocumentRoot, Outcome, Strictness, judge};
use crate::profile::ServerProfile;
use crate::target::{Program, Target};
use crate::verdict::Missing;
use crate::{cases, timeout};

/// The families of cases about the end of a message.
const FRAMING: &[&str] = &["framing", "chunks"];

/// The timeout of a case that the server's list expects to fail. This timeout may be shorter than
/// that of the other cases: a shorter timeout turns no failure into a pass, and a server that has
/// begun to keep such a promise keeps it well within this time.
const TIMEOUT_OF_FAILURES: Duration = Duration::from_secs(5);

/// The features that no small server offers.
const NOT_OFFERED: &[Need] = &[Need::Files, Need::Stats, Need::Panic];

/// A small server, and what the suite must know about it.
#[derive(Clone, Copy, Debug)]
pub struct SmallServer {
    /// The name of the server's program, and of the file in its chapter that lists the expected
    /// verdict on each case, `tests/small/NAME.txt`.
    pub name: &'static str,
    /// The book's finished server that uses the same mechanism as this small one.
    pub like: &'static str,
    /// The path of the server's program.
    pub binary: &'static str,
    /// The features that the server does not offer: cases that need such a feature are left out.
    pub lacks: &'static [Need],
}

impl SmallServer {
    /// Returns a small server that lacks only the features that no small server offers.
    pub const fn new(
        name: &'static str,
        like: &'static str,
        binary: &'static str,
    ) -> SmallServer {
        SmallServer { name, like, binary, lacks: NOT_OFFERED }
    }

    fn program(&self) -> Program {
        let command = format!("cargo run --bin {} --", self.name);
        Program { command, ..Program::from(self.binary) }
    }
}

/// A line of a server's list: the expected verdict on a case, and the reason unless the verdict is
/// `pass`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    verdict: String,
    reason: String,
}

/// The list of a server: a line for each case, by the case's full name.
type List = BTreeMap<String, Line>;

/// The lists of a chapter's small servers.
#[derive(Debug)]
pub(crate) struct Lists {
    directory: PathBuf,
    /// The lists to renew: each with its file, its lines so far, and the lines of the cases that
    /// have been judged since.
    recorded: Vec<(PathBuf, List, Arc<Mutex<List>>)>,
}

impl Lists {
    /// Returns the lists in a directory, without reading them:
    /// [`trials_for`](Self::trials_for) reads the list of one server.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), recorded: Vec::new() }
    }

    /// Returns the trials of a server, each with its duration in seconds and its index: see
    /// [`waits_spread`](crate::waits_spread).
    ///
    /// # Errors
    ///
    /// Fails if the server's list cannot be read, unless the lists are renewed.
    pub(crate) fn trials_for(
        &mut self,
        server: &SmallServer,
        root: &Arc<DocumentRoot>,
    ) -> io::Result<Vec<(u8, usize, Trial)>> {
        let recording = env::var_os("RECORD").is_some();
        let file = self.directory.join(server.name).with_extension("txt");
        let list = read(&file).or_else(|error| match recording {
            true => Ok(List::new()),
            false => Err(io::Error::new(
                error.kind(),
                format!("{}: {error} (RECORD=1 creates it)", file.display()),
            )),
        })?;
        let new = recording.then(|| Arc::new(Mutex::new(List::new())));
        let trials = trials_for(server, &list, new.as_ref(), root)?;
        self.recorded.extend(new.map(|new| (file, list, new)));
        Ok(trials)
    }

    /// Writes the lists that are renewed.
    pub(crate) fn save(self) -> io::Result<()> {
        for (file, mut list, new) in self.recorded {
            list.append(&mut new.lock().unwrap_or_else(PoisonError::into_inner));
            write(&file, &list)?;
        }
        Ok(())
    }
}

/// Returns a trial for each case that applies to the server, and a trial that fails if the server's
/// list of expected verdicts names a case that does not apply.
fn trials_for(
    server: &SmallServer,
    list: &List,
    new: Option<&Arc<Mutex<List>>>,
    root: &Arc<DocumentRoot>,
) -> io::Result<Vec<(u8, usize, Trial)>> {
    let profile = ServerProfile::by_name(server.like)
        .ok_or_else(|| io::Error::other(format!("{} is no server", server.like)))?;
    let lacks = |case: &Case| case.needs.iter().any(|need| server.lacks.contains(need));
    let applies = |case: &Case| case.skip_reason(profile).is_none() && !lacks(case);
    let cases: Vec<Case> = cases::all().into_iter().filter(applies).collect();
    let stale = list.keys().find(|name| !cases.iter().any(|c| c.full_name() == **name));
    let stale = stale.map(|name| format!("{name} is in the list, but does not apply"));
    let whole = Trial::test(format!("{}::list", server.name), move || {
        stale.map_or(Ok(()), |stale| Err(stale.into()))
    });
    let mut trials = vec![(0, usize::MAX, whole)];
    for (index, case) in cases.into_iter().enumerate() {
        let (root, new) = (Arc::clone(root), new.cloned());
        let target = Target::Binary(server.program());
        let expected = list.get(&case.full_name()).cloned();
        let fails = expected.as_ref().is_some_and(|line| line.verdict == "fail");
        // A case that is expected to fail may take all of its timeout, and a case about a deadline
        // takes ten seconds, because the suite cannot shorten a small server's deadlines. Both
        // count as the longest cases.
        let waits = fails || case.family == "deadlines";
        let patience = if fails { TIMEOUT_OF_FAILURES } else { timeout::timeout() };
        let name = format!("{}::{}", server.name, case.full_name());
        let trial = Trial::test(name, move || {
            let judged = verdict(&case, profile, &target, &root.path, patience)?;
            let Some((verdict, text)) = judged else {
                return Ok(()); // this machine cannot try the case
            };
            if let Some(new) = new {
                let same = |line: &Line| [verdict, "varies"].contains(&&*line.verdict);
                let kept = expected.filter(same);
                if env::var("RECORD").is_ok_and(|value| value == "why") {
                    eprintln!("{verdict} {}\n{text}", case.full_name());
                }
                let reason = if verdict == "pass" { "" } else { "?" };
                let line = kept.unwrap_or_else(|| Line {
                    verdict: verdict.to_owned(),
                    reason: reason.to_owned(),
                });
                let mut new = new.lock().unwrap_or_else(PoisonError::into_inner);
                new.insert(case.full_name(), line);
                return Ok(());
            }
            compare(expected.as_ref(), verdict, &text)
        });
        let seconds = if waits { u8::MAX } else { case.seconds };
        trials.push((seconds, index, trial.with_kind(case.kind.label())));
    }
    Ok(trials)
}

/// Judges a case, with `patience` as its timeout. Returns the verdict (`pass` or `fail`) with the
/// text of a failure, or `None` if this machine cannot try the case.
///
/// # Errors
///
/// Fails if the server has interpreted an ambiguous message in another way than the contract,
/// instead of refusing it.
fn verdict(
    case: &Case,
    profile: &ServerProfile,
    target: &Target,
    root: &Path,
    patience: Duration,
) -> Result<Option<(&'static str, String)>, Failed> {
    let judged = timeout::with_timeout(patience, || {
        judge(case, profile, target, root, Strictness::Contract)
    });
    let text = match judged {
        Outcome::Passed => return Ok(Some(("pass", String::new()))),
        Outcome::Skipped(why) => {
            eprintln!("{} skipped: {why}", case.full_name());
            return Ok(None);
        }
        Outcome::NotReached(_) => return Ok(None),
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::Missing(Missing { why, .. }) => why,
    };
    if FRAMING.contains(&case.family)
        && let Outcome::Failed(failure) =
            judge(case, profile, target, root, Strictness::Refusal)
    {
        return Err(format!("a message is read in a second way:\n{failure}").into());
    }
    Ok(Some(("fail", text)))
}

/// Compares the verdict on a case with the case's line in the list, and fails if they differ or the
/// list has no line for the case.
fn compare(expected: Option<&Line>, verdict: &str, text: &str) -> Result<(), Failed> {
    let Some(line) = expected else {
        return Err(
            format!("it ends with `{verdict}`, and is not in the list\n{text}").into()
        );
    };
    if line.verdict != verdict && line.verdict != "varies" {
        let listed = &line.verdict;
        return Err(format!(
            "the list says `{listed}`, it ends with `{verdict}`\n{text}"
        )
        .into());
    }
    if line.verdict != "pass" && matches!(line.reason.as_str(), "" | "?") {
        return Err(format!("the list has no reason for `{verdict}`\n{text}").into());
    }
    Ok(())
}

fn read(file: &Path) -> io::Result<List> {
    let text = fs::read_to_string(file)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| {
            let (verdict, rest) = line.split_once(' ')?;
            let (name, reason) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
            let reason = reason.trim().to_owned();
            Some((name.to_owned(), Line { verdict: verdict.to_owned(), reason }))
        })
        .collect())
}

/// Writes a server's list to `file`, sorted in the order of the table of cases.
fn write(file: &Path, list: &List) -> io::Result<()> {
    let mut text =
        String::from("# RECORD=1 cargo test --test suite small- renews this list.\n");
    for case in cases::all() {
        let name = case.full_name();
        let Some(Line { verdict, reason }) = list.get(&name) else { continue };
        let line = format!("{verdict:8}{name:48}{reason}");
        let _ = writeln!(text, "{}", line.trim_end()); // writing to a String cannot fail
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, text)
}
