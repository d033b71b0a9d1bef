//! Judges a program by a gate: the cases of the client suite, and the tests of the book's packages,
//! that must pass at a step of the course.

use std::collections::BTreeMap;
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use client_suite::case::Case;
use client_suite::judge::{Outcome, Strictness, judge};
use client_suite::profile::ServerProfile;
use client_suite::server::Server;
use client_suite::target::Target;

/// Seconds without progress after which a case fails: more than the deadlines of the servers in
/// a learner's crate, which are constants of at most three seconds.
pub const TIMEOUT: u64 = 5;

/// The longest time that a test of one of the book's packages may take. A test that takes longer
/// fails; most take milliseconds.
const TEST_TIMEOUT: Duration = Duration::from_secs(TIMEOUT);

/// The interval at which a running test is checked for its end.
const LOOK: Duration = Duration::from_millis(5);

/// The first words of the suite's description of a failed case, if a reset has ended the
/// connection. A server cannot fake these words: where a description quotes bytes from the server,
/// it begins with other words of the suite.
const RESETS: [&str; 2] = ["the server reset the connection", "a reset"];

/// The number of checks that run at the same time.
const AT_ONCE: usize = 8;

/// A check of a gate: a condition that the learner's code must meet at a step.
#[derive(Clone, Debug)]
pub enum Check {
    /// A case of the suite, which judges the step's program.
    Case(Case),
    /// A test of one of the book's packages, for behavior that no case can observe.
    Test(Test),
}

/// A test of a package of the learner's workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The test program: a package and its test target, such as `ch03-nonblocking/library`. The
    /// target is `lib` for the library's unit tests, and `bin/NAME` for those of a program.
    pub program: String,
    /// The test's name in the program, such as `stale::a_test`.
    pub name: String,
}

impl Test {
    /// Returns the test that is written as its program and its name, such as
    /// `ch03-nonblocking/library::stale::a_test`, or `None` if `text` is not in this form.
    pub fn parse(text: &str) -> Option<Self> {
        let (program, name) = text.split_once("::")?;
        let is_test = program.contains('/');
        is_test.then(|| Self { program: program.to_owned(), name: name.to_owned() })
    }

    /// Returns the package that contains the test, and the test target (see [`Test::program`]).
    pub fn target(&self) -> (&str, &str) {
        self.program.split_once('/').unwrap_or((&self.program, "lib"))
    }

    /// Returns a shell command that runs this test, for a learner to type.
    fn command(&self) -> String {
        let (package, target) = self.target();
        let target = target_options(target).join(" ");
        format!("cargo test -p {package} {target} {} -- --exact", self.name)
    }

    /// Runs the test in its test program, whose path is `program`, within the workspace
    /// `directory`. Returns the description of the failure, or `None` if the test passes or does
    /// not exist on this system.
    fn verdict(&self, program: &Path, directory: &Path) -> Option<String> {
        let failure = match self.run(program, directory) {
            Ok((Some(status), _)) if status.success() => return None,
            Ok((Some(_), text)) if text.contains("\n---- ") => failure(&text).to_owned(),
            Ok((Some(status), text)) => {
                format!("{text}{}", Server::describe_exit(status))
            }
            Ok((None, text)) => {
                let seconds = TEST_TIMEOUT.as_secs();
                format!("{text}The test has not ended within {seconds} seconds.")
            }
            Err(error) => format!("The test cannot be run: {error}."),
        };
        Some(format!("{}\nby hand      {}", failure.trim(), self.command()))
    }

    /// Runs the test in its test program, whose path is `program`. Returns the program's exit
    /// status and output. The status is `None` if the program ran longer than [`TEST_TIMEOUT`] and
    /// was killed.
    fn run(
        &self,
        program: &Path,
        directory: &Path,
    ) -> io::Result<(Option<ExitStatus>, String)> {
        let mut output = tempfile::tempfile()?;
        // As with Cargo, the test runs in its package's directory. The main track's crate is a
        // single package, whose directory is `directory` itself.
        let package = directory.join(self.target().0);
        let package = if package.is_dir() { &package } else { directory };
        let mut command = Command::new(program);
        command.current_dir(package).args([&self.name, "--exact"]);
        command.env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(output.try_clone()?);
        let mut child = command.stderr(output.try_clone()?).spawn()?;
        let end = Instant::now() + TEST_TIMEOUT;
        let status = loop {
            match child.try_wait()? {
                None if Instant::now() < end => thread::sleep(LOOK),
                None => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                status => break status,
            }
        };
        output.rewind()?;
        Ok((status, io::read_to_string(output)?))
    }
}

/// Returns the options by which Cargo selects the test target `target` (see [`Test::program`]).
pub fn target_options(target: &str) -> Vec<&str> {
    match target.strip_prefix("bin/") {
        Some(program) => vec!["--bin", program],
        None if target == "lib" => vec!["--lib"],
        None => vec!["--test", target],
    }
}

/// Returns the part of a test program's output that describes the failure of the one test that was
/// run.
fn failure(text: &str) -> &str {
    let (_, text) = text.split_once(" stdout ----\n").unwrap_or(("", text));
    let end = text.find("note: run with").or_else(|| text.find("\nfailures:"));
    &text[..end.unwrap_or(text.len())]
}

impl Check {
    /// Returns the name under which a recorded gate lists the check: the case's full name, or the
    /// test's.
    pub fn name(&self) -> String {
        match self {
            Self::Case(case) => case.full_name(),
            Self::Test(test) => test.to_string(),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.program, self.name)
    }
}

/// Everything that is needed to make the checks of a gate.
pub struct Subject<'a> {
    /// The directory of the learner's crate.
    pub directory: &'a Path,
    /// The profile of the book's server that the step's program resembles.
    pub profile: &'static ServerProfile,
    /// The step's program, in a form that the suite can start.
    pub target: Target,
    /// The paths of the built test programs, by their names (see [`Test::program`]).
    pub tests: &'a BTreeMap<String, PathBuf>,
    /// The directory of the files that the judged server is to serve.
    pub root: &'a Path,
}

impl Subject<'_> {
    /// Makes one check. Returns the description of the failure, or `None` if the check passes or
    /// cannot be made on this machine.
    pub fn verdict(&self, check: &Check) -> Option<String> {
        let case = match check {
            Check::Case(case) => case,
            Check::Test(test) => match self.tests.get(&test.program) {
                Some(program) => return test.verdict(program, self.directory),
                None => return Some(format!("cargo built no test {}", test.program)),
            },
        };
        match outcome(case, self.profile, &self.target, self.root) {
            Outcome::Passed | Outcome::Skipped(_) | Outcome::NotReached(_) => None,
            Outcome::Missing(missing) => Some(missing.why),
            Outcome::Failed(failure) => Some(failure.to_string()),
        }
    }
}

/// Judges a program by one case.
///
/// A small server of the book closes a connection without reading the rest of the input first, so
/// now and then a reset (RST) destroys the server's last response on the way. A case that fails
/// because of a reset is therefore judged once more.
pub fn outcome(
    case: &Case,
    profile: &ServerProfile,
    target: &Target,
    root: &Path,
) -> Outcome {
    let judge = || judge(case, profile, target, root, Strictness::Contract);
    match judge() {
        Outcome::Failed(failure) if is_reset(&failure.actual) => judge(),
        other => other,
    }
}

/// Returns whether `actual`, a failed case's description of what happened, says that a reset ended
/// the connection.
fn is_reset(actual: &str) -> bool {
    RESETS.iter().any(|words| actual.starts_with(words))
}

/// A check that does not pass, with its failure.
#[derive(Debug)]
pub struct Red {
    /// The check that does not pass.
    pub check: Check,
    /// The index of the check in the gate.
    pub index: usize,
    /// The description of the failure.
    pub text: String,
}

/// Makes the checks of `gate`, several at the same time, and calls `done` after each check. Returns
/// the first check in the gate's order that does not pass, if there is one, and the time from the
/// start of the first check to the end of the last. After a check has failed, later checks of the
/// gate may be left out.
pub fn first_red(
    gate: &[Check],
    subject: &Subject<'_>,
    done: &(dyn Fn() + Sync),
) -> (Option<Red>, Duration) {
    let start = Instant::now();
    let (next, limit) = (AtomicUsize::new(0), AtomicUsize::new(gate.len()));
    let found: Mutex<Option<Red>> = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(gate.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= limit.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Some(text) = subject.verdict(&gate[index]) {
                        limit.fetch_min(index, Ordering::Relaxed);
                        let mut found =
                            found.lock().unwrap_or_else(PoisonError::into_inner);
                        if found.as_ref().is_none_or(|red| index < red.index) {
                            let check = gate[index].clone();
                            *found = Some(Red { check, index, text });
                        }
                    }
                    done();
                }
            });
        }
    });
    (found.into_inner().unwrap_or_else(PoisonError::into_inner), start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::is_reset;

    #[test]
    fn bytes_of_the_server_are_no_reset() {
        assert!(is_reset("the server reset the connection after 3 bytes of it"));
        assert!(is_reset("a reset (RST)"));
        assert!(!is_reset(
            "the server closed the connection after 5 bytes of an incomplete head: reset"
        ));
        assert!(!is_reset("\"reset\""));
    }
}
