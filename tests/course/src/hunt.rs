//! A hunt: each student gets a server with one mistake, and hands in a client that finds it.
//!
//! ```text
//!   secret ─► HMAC(secret, student) ─► mutant ─► hand-out: a directory with the server
//!                                         │
//!   the student's client ──► runs against the mutant and the honest server, in an order that is
//!                            drawn anew: it must tell which server it is each time
//! ```
//!
//! The mutants come from one program: without an option it is the honest server, `--list-hunted`
//! lists its mistakes, and the environment variable `HUNTED_MUTATION` chooses one. The public
//! program, `mutant`, is for practice, because the suite names the case that catches each of its
//! mistakes. For marks, an instructor's private crate lists mutants of its own
//! (`tests/course/instructor` is an example), and `course check --mutants` proves that they pass
//! the public suite.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client_suite::case::Case;
use client_suite::cases;
use client_suite::judge::{DocumentRoot, Outcome, Strictness, judge};
use client_suite::profile::{Model, ServerProfile};
use client_suite::rlimits::Rlimits;
use client_suite::server::Server;
use client_suite::target::{Program, Target};
use client_suite::verdict::Abort;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::grade::plan::Limits;
use crate::grade::run_as::RunAs;
use crate::grade::sandbox::Sandbox;
use crate::ladder::package;
use crate::work::{build, output};

/// The environment variable that names the mistake which the server makes. The mistake is not named
/// on the command line, because any user can read the command line of a running process.
const HUNTED: &str = "HUNTED_MUTATION";

/// The number of times that a client is run, each time against the mutant or the honest server, at
/// random. Of the 2⁸ = 256 possible sequences of these two, only the 238 with at least [`LEAST`]
/// runs of each server are used: a client that guesses passes at most once in 238 attempts, even if
/// it knew which of its runs the present one is.
const RUNS: usize = 8;

/// The number of cases that run at the same time, each with a server of its own.
const CASES_AT_ONCE: usize = 32;

/// The smallest number of runs of a client against the mutant, and against the honest server.
const LEAST: usize = 2;

/// The number of times that a failed case is judged again in the proof that a mutant passes the
/// public suite.
const ATTEMPTS: usize = 5;

/// The longest time that one run of a client may take.
const MOST: Duration = Duration::from_secs(30);

/// The options of `course hunt`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The student's name. It decides which mutant the student gets, so it must be spelled the same
    /// way in each call.
    #[arg(long)]
    student: String,
    /// A file with the assignment's secret, at least 16 bytes. Every student's mutant can be worked
    /// out from it.
    #[arg(long, value_name = "FILE")]
    secret: PathBuf,
    /// The program with the mutants, such as your private crate's. Without this option: the public
    /// mutants, for practice.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
    /// Write the files for the student, among them the server, to this new directory.
    #[arg(long, value_name = "DIR")]
    hand_out: Option<PathBuf>,
    /// Grade this client, which is run as `CLIENT HOST PORT` and exits with 0 if the server keeps
    /// the contract, with 1 if it breaks it.
    #[arg(long, value_name = "CLIENT")]
    client: Option<PathBuf>,
    /// The user that the client runs as, a name or a number.
    #[arg(long)]
    user: Option<String>,
    /// The client is your own: as root it may run without another user.
    #[arg(long)]
    trusted: bool,
}

/// Runs `course hunt`. Returns whether the client tells the student's mutant from the honest
/// server; `true` if there is no client to grade.
///
/// # Errors
///
/// Fails if the program, the secret or the client cannot be used.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let den = match &options.server {
        Some(program) => Den::open(program)?,
        None => {
            let programs = build(&package().join("../.."), &["mutant"])?;
            Den::open(programs.get("mutant").context("Cargo has not built `mutant`")?)?
        }
    };
    let (student, secret) = (&options.student, secret(&options.secret)?);
    let number = den.assign(&secret, student);
    println!("{student}: mutant {} of {}, {}", number + 1, den.size(), den.name(number));
    if let Some(directory) = &options.hand_out {
        den.hand_out(number, directory)?;
        println!(
            "{} is made: hand it out. `run --listen 127.0.0.1:8080` starts it.",
            directory.display()
        );
    }
    let Some(client) = &options.client else { return Ok(true) };
    let run_as = RunAs::find(options.user.as_deref(), options.trusted)?;
    let hunt = grade(&den, number, client, run_as)?;
    print!("{}", hunt.report);
    Ok(hunt.caught)
}

/// A program that contains an honest server and its mutants, servers with one mistake each.
#[derive(Debug)]
pub struct Den {
    program: PathBuf,
    mutants: Vec<String>,
}

impl Den {
    /// Returns the mutants of a program, which is run with `--list-hunted` to list them.
    ///
    /// # Errors
    ///
    /// Fails if the program cannot be run, or lists no mutant.
    pub fn open(program: &Path) -> anyhow::Result<Self> {
        let program =
            program.canonicalize().with_context(|| program.display().to_string())?;
        let text = output(Command::new(&program).arg("--list-hunted"))?;
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let mutants: Vec<String> = names.map(str::to_owned).collect();
        ensure!(
            !mutants.is_empty(),
            "{} lists no mutants with --list-hunted",
            program.display()
        );
        Ok(Self { program, mutants })
    }

    /// Returns the number of the mutant that is assigned to a student. It depends only on the
    /// secret and the student's name: it is the same in each call, and no student can compute
    /// another student's mutant without the secret.
    pub fn assign(&self, secret: &[u8], student: &str) -> usize {
        let first = keyed_hash(secret, student) % self.mutants.len() as u64;
        first as usize // the number fits: it is less than the number of mutants
    }

    /// Returns the name of the mutant with the number `number`.
    pub fn name(&self, number: usize) -> &str {
        &self.mutants[number]
    }

    /// Returns the number of mutants.
    pub fn size(&self) -> usize {
        self.mutants.len()
    }

    /// Creates the directory that a student gets, and the directories above it. The new directory
    /// contains the mutants' program, and a script that starts the program with the mistake of the
    /// mutant `number`.
    ///
    /// # Errors
    ///
    /// Fails if the directory exists, or cannot be written.
    pub fn hand_out(&self, number: usize, directory: &Path) -> anyhow::Result<()> {
        let context = || directory.display().to_string();
        fs::create_dir_all(directory.parent().unwrap_or(directory))
            .with_context(context)?;
        fs::create_dir(directory).with_context(context)?;
        fs::copy(&self.program, directory.join("server"))?;
        let script = directory.join("run");
        let name = self.name(number);
        let text = format!(
            "#!/bin/sh\n# Starts the server that you hunt; with {HUNTED}= it is the honest one.\n\
             # In a grading it has `--root DIR`, with the files that `client-suite files DIR` writes.\n\
             exec env {HUNTED}=\"${{{HUNTED}-{name}}}\" \"$(dirname \"$0\")/server\" \"$@\"\n"
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        Ok(())
    }
}

/// Returns the first 8 bytes of the HMAC-SHA-256 (RFC 2104) of a student's name, with the key
/// `secret`, as a big-endian number.
fn keyed_hash(secret: &[u8], student: &str) -> u64 {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        unreachable!("HMAC takes a key of any length");
    };
    let hash = mac.chain_update(student.as_bytes()).finalize().into_bytes();
    hash[..8].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Reads the secret of an assignment.
///
/// # Errors
///
/// Fails if the file cannot be read, or if the secret has fewer than 16 bytes, so that it could be
/// guessed.
pub fn secret(file: &Path) -> anyhow::Result<Vec<u8>> {
    let secret = fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(
        secret.len() >= 16,
        "{} has {} bytes: a secret needs 16 or more (`head -c 32 /dev/urandom > FILE`)",
        file.display(),
        secret.len()
    );
    Ok(secret)
}

/// A client's verdict on a server. The client gives it by its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Exit status 0: the client says that the server keeps the contract.
    Kept,
    /// Exit status 1: the client says that the server breaks the contract.
    Broken,
    /// No verdict: the client ended in another way, such as by a signal, or did not end in time.
    None,
}

/// The result of grading a student's client.
#[derive(Debug)]
pub struct Hunt {
    /// Whether the client tells the mutant from the honest server.
    pub caught: bool,
    /// The text for the student: in how many runs the client was right, and, if it gave no verdict
    /// in a run, the end of its output in that run. The text does not say which run was against
    /// which server.
    pub report: String,
}

/// Chooses the server of each run of a client at random: `true` for the mutant, `false` for the
/// honest server.
///
/// # Errors
///
/// Fails if the system's random numbers cannot be read.
fn draw() -> anyhow::Result<[bool; RUNS]> {
    let mut random = File::open("/dev/urandom").context("/dev/urandom")?;
    loop {
        let mut byte = [0];
        random.read_exact(&mut byte).context("/dev/urandom")?;
        let servers: [bool; RUNS] = std::array::from_fn(|run| byte[0] >> run & 1 == 1);
        let mutants = servers.iter().filter(|is_mutant| **is_mutant).count();
        if (LEAST..=RUNS - LEAST).contains(&mutants) {
            return Ok(servers);
        }
    }
}

/// Runs a student's client several times, each time against the mutant `number` or the honest
/// server, in random order.
///
/// The client is run as `CLIENT HOST PORT` in a sandbox. Its exit status is its verdict: 0 if the
/// server keeps the contract, 1 if it breaks it. Each run has a new sandbox, so a client finds no
/// file of an earlier run.
///
/// # Errors
///
/// Fails if a server cannot be started, or if the client cannot be contained.
pub fn grade(
    den: &Den,
    number: usize,
    client: &Path,
    run_as: RunAs,
) -> anyhow::Result<Hunt> {
    let root = DocumentRoot::new()?;
    let (mut right, mut silent) = (0, Vec::new());
    for is_mutant in draw()? {
        let sandbox = Sandbox::new(run_as, &Limits::default())?;
        let client = sandbox.adopt("client", client)?;
        let server = start(den, is_mutant.then_some(number), &root)?;
        let (host, port) =
            (server.address.ip().to_string(), server.address.port().to_string());
        let (verdict, said) = ask(&sandbox, &client, &host, &port)?;
        drop(server);
        let expected = if is_mutant { Verdict::Broken } else { Verdict::Kept };
        right += usize::from(verdict == expected);
        if verdict == Verdict::None {
            silent.push(said);
        }
    }
    let caught = right == RUNS;
    let tells = if caught { "tells" } else { "does not tell" };
    let mut report = format!(
        "The client {tells} the mutant from the honest server: right in {right} of {RUNS} runs.\n"
    );
    if let Some(said) = silent.first() {
        report +=
            &format!("It gave no verdict in {} runs. In one of them:\n", silent.len());
        let lines: Vec<_> = said.lines().rev().take(5).collect();
        report.extend(lines.iter().rev().map(|line| format!("    {line}\n")));
    }
    Ok(Hunt { caught, report })
}

/// Starts the mutant `number`, or the honest server if `number` is `None`.
fn start(
    den: &Den,
    number: Option<usize>,
    root: &DocumentRoot,
) -> anyhow::Result<Server> {
    let program = den.program.display();
    let chosen =
        number.map_or(String::new(), |number| format!("{HUNTED}={} ", den.name(number)));
    let command = format!("env {chosen}'{program}' --listen {{listen}} --root {{root}}");
    match Server::start(&Target::Command(command), &root.path, &[], Rlimits::default()) {
        Ok(server) => Ok(server),
        Err(Abort::Fail(mismatch)) => bail!("{program}: {}", mismatch.actual),
        Err(_) => bail!("{program} cannot be started"),
    }
}

/// Runs the client once, against the server at `host` and `port`. Returns the client's verdict and
/// its output.
fn ask(
    sandbox: &Sandbox,
    client: &Path,
    host: &str,
    port: &str,
) -> anyhow::Result<(Verdict, String)> {
    // When the client has exited, the shell prints the client's exit status. Only the last status
    // in the output counts, so a line of this form that the client prints before is ignored.
    let script = "\"$0\" \"$@\"; echo \"exit status $?\"";
    let client = client.display().to_string();
    let arguments = ["-c", script, &client, host, port];
    let finished = sandbox.run(Path::new("/bin/sh"), &arguments, &[], MOST)?;
    let status =
        finished.output.lines().rev().find_map(|line| {
            line.strip_prefix("exit status ").filter(|_| finished.success)
        });
    let verdict = match status {
        Some("0") => Verdict::Kept,
        Some("1") => Verdict::Broken,
        _ => Verdict::None,
    };
    Ok((verdict, finished.output))
}

/// Proves that every mutant of a program, and its honest server, pass the public suite, so that
/// none of the suite's cases gives a mistake away. Prints the cases that a server does not pass.
/// Returns whether all servers pass all cases.
///
/// # Errors
///
/// Fails if a server cannot be started.
pub fn check(program: &Path) -> anyhow::Result<bool> {
    let den = Den::open(program)?;
    let failed = failed_cases(&den, |_| true)?;
    failed.iter().for_each(|line| println!("FAILED   {line}"));
    let size = den.size();
    match failed.len() {
        0 => println!(
            "ok       {size} mutants pass the public suite, and so does the honest server"
        ),
        count => println!(
            "FAILED   {size} mutants and the honest server should pass the public suite; \
             it catches them {count} times"
        ),
    }
    Ok(failed.is_empty())
}

/// Returns a line for each public case that a mutant, or the honest server, does not pass. Only the
/// families of cases whose names `family` accepts are judged.
///
/// # Errors
///
/// Fails if a server cannot be started.
pub fn failed_cases(
    den: &Den,
    family: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    let profile = ServerProfile {
        name: "hunted",
        level: 6,
        model: Model::ThreadPerClient,
        summary: "wrong in one way",
    };
    let root = DocumentRoot::new()?;
    let honest = Program::from(&den.program);
    let mutant = |name: &String| Program {
        arguments: vec!["--mutation".to_owned(), name.clone()],
        ..honest.clone()
    };
    let mut targets = vec![("the honest server", Target::Binary(honest.clone()))];
    targets.extend(
        den.mutants.iter().map(|name| (name.as_str(), Target::Binary(mutant(name)))),
    );
    let cases: Vec<_> = cases::public()
        .into_iter()
        .filter(|case| case.only.is_empty() && case.skip_reason(&profile).is_none())
        .filter(|case| family(case.family))
        .collect();
    let pairs =
        targets.iter().flat_map(|target| cases.iter().map(move |case| (target, case)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_by_key(|(_, case)| std::cmp::Reverse(case.seconds));
    let passes = |(_, target): &(&str, Target), case: &Case| {
        let outcome = judge(case, &profile, target, &root.path, Strictness::Contract);
        matches!(outcome, Outcome::Passed | Outcome::Skipped(_))
    };
    let (queue, failed) = (Mutex::new(pairs.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next =
                        queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((target, case)) = next else { return };
                    if !passes(target, case) {
                        let mut failed =
                            failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push((target, case));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    // On a busy machine a case may fail because the suite's own client is late. A case that catches
    // a mutant fails each time, even while no other case runs, so a failed case is judged several
    // times more.
    let again = |(target, case): &(&(&str, Target), &Case)| {
        (0..ATTEMPTS).all(|_| !passes(target, case))
    };
    let again = failed.into_iter().filter(again);
    let mut lines: Vec<String> = again
        .map(|((name, _), case)| format!("{name} does not pass {}", case.full_name()))
        .collect();
    lines.sort();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::{LEAST, RUNS, draw, keyed_hash};

    /// Each server has some runs in every order that is drawn, so a client with the same verdict in
    /// all runs is wrong. Of 64 orders, at least one differs from the first.
    #[test]
    fn each_server_has_runs_and_the_order_is_drawn_anew() {
        let orders: Vec<_> = (0..64).map(|_| draw().expect("an order")).collect();
        for order in &orders {
            let mutants = order.iter().filter(|is_mutant| **is_mutant).count();
            assert!(mutants >= LEAST && RUNS - mutants >= LEAST, "{order:?}");
        }
        assert!(
            orders.iter().any(|order| *order != orders[0]),
            "all are {:?}",
            orders[0]
        );
    }

    /// Checks the hash of test case 2 of RFC 4231, whose key is "Jefe".
    #[test]
    fn the_hash_is_hmac_sha_256() {
        let hash = keyed_hash(b"Jefe", "what do ya want for nothing?");
        assert_eq!(hash, 0x5bdc_c146_bf60_754e);
    }
}
