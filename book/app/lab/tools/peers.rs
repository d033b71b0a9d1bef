//! The servers that `compare` measures: the book's servers, and the peers, which are the other
//! servers that tests/peers builds or starts.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use manuscript::files;
use profiles::{Model, ServerProfile};

use super::clients::{KEPT, answered, ask};
use super::cores::Cores;
use super::run::Run;
use super::server::Server;
use crate::servers;

/// The book's servers that `compare` measures unless an option names others.
const STAGES: [&str; 7] =
    ["epoll", "epoll-et", "coroutine", "async", "poll", "thread", "reactors"];
/// The peers that `compare` measures unless an option names others.
const PEERS: [&str; 5] = ["floor", "hyper", "actix-web", "may_minihttp", "nginx"];
/// The peer that `compare` measures only if an option names it.
const NAMED: &str = "uring";
/// Peers with the crates from which they are built, whose versions are recorded.
const PACKAGES: [(&str, &str); 4] = [
    ("hyper", "hyper"),
    ("hyper", "tokio"),
    ("actix-web", "actix-web"),
    ("may_minihttp", "may_minihttp"),
];
/// Peers that serve no files.
const NO_FILES: [&str; 3] = ["floor", "may_minihttp", NAMED];
/// Peers whose programs in `tests/peers` use no optional dependency, and so need no cargo feature.
/// The program `nginx` only starts the installed nginx.
const ALWAYS: [&str; 2] = ["floor", "nginx"];
/// The peer that `compare` leaves out, with a remark, if it is not installed.
const OPTIONAL: &str = "nginx";
/// Options of the book's servers, which raise limits that the load of `compare` would reach.
const OPTIONS: [&str; 4] = ["--idle-timeout", "3600", "--max-connections", "20000"];
/// The longest wait until a server accepts connections, longer than any server takes to start.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that `compare` measures, and the command that starts it.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    pub name: String,
    program: PathBuf,
    options: Vec<String>,
    pub serves_files: bool,
}

impl Entrant {
    /// Parses `NAME=PROGRAM [OPTION…]`, from the command line.
    ///
    /// # Errors
    ///
    /// The text has no `=`, or no program after it.
    pub(crate) fn named(text: &str) -> Result<Entrant> {
        let (name, command) = text.split_once('=').context("not NAME=PROGRAM")?;
        let mut words = command.split_whitespace().map(str::to_owned);
        Ok(Entrant {
            name: name.to_owned(),
            program: words.next().context("not NAME=PROGRAM")?.into(),
            options: words.collect(),
            serves_files: true,
        })
    }

    /// Returns the server of the book called `name`, after building its program if needed.
    ///
    /// # Errors
    ///
    /// The book has no server called `name`, the server consists of several processes, or its
    /// program cannot be built.
    fn stage(run: &Run<'_>, name: String) -> Result<Entrant> {
        let stage = ServerProfile::by_name(&name)
            .with_context(|| format!("no server of the book is called {name}"))?;
        if matches!(stage.model, Model::ProcessPerClient | Model::PoolOfProcesses) {
            bail!(
                "{name} is several processes, and only one is measured; choose another"
            );
        }
        let mut options: Vec<String> = OPTIONS.map(str::to_owned).to_vec();
        if matches!(name.as_str(), "reactors" | "coroutine" | "async") {
            options.extend(["--threads", "1"].map(str::to_owned));
        }
        let program = servers::find(run.paths, &name)?;
        Ok(Entrant { name, program, options, serves_files: true })
    }

    /// Starts the server on the first of the two `cores`, to serve the files in the directory
    /// `site`.
    pub(crate) fn start(&self, site: &Path, cores: &Cores) -> Result<Server> {
        self.start_as(Command::new(&self.program), site, cores)
    }

    /// Starts the server like [`start`](Entrant::start), but under `tracer`: a command whose last
    /// arguments are a program and its arguments, which the command executes in the same process.
    pub(crate) fn start_under(
        &self,
        mut tracer: Command,
        site: &Path,
        cores: &Cores,
    ) -> Result<Server> {
        tracer.arg(&self.program);
        self.start_as(tracer, site, cores)
    }

    fn start_as(
        &self,
        mut command: Command,
        site: &Path,
        cores: &Cores,
    ) -> Result<Server> {
        command.args(&self.options).arg("--root").arg(site);
        command.env("TMPDIR", site); // the directory of nginx's files
        let running = cores.start(|| Server::command(&mut command, &self.name))?;
        // The program for nginx prints the address before it executes nginx, which binds the
        // address a little later.
        let start = Instant::now();
        while let Err(error) = TcpStream::connect(running.address) {
            ensure!(start.elapsed() < TIMEOUT, "{} does not listen: {error}", self.name);
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }
}

/// Returns the servers to measure: the book's servers in `stages` (the usual ones if `stages` is
/// empty), those in `beside`, and the peers in `peers` (the usual ones if `peers` is empty). Builds
/// programs that are missing or out of date.
pub(crate) fn all(
    run: &Run<'_>,
    stages: &[String],
    beside: &[Entrant],
    peers: &[String],
) -> Result<Vec<Entrant>> {
    let or = |names: &[String], usual: &[&str]| -> Vec<String> {
        let usual = usual.iter().copied().map(str::to_owned);
        if names.is_empty() { usual.collect() } else { names.to_vec() }
    };
    let stages = or(stages, &STAGES).into_iter().map(|name| Entrant::stage(run, name));
    let mut all = stages.collect::<Result<Vec<_>>>()?;
    all.extend_from_slice(beside);
    all.extend(others(run, or(peers, &PEERS))?);
    Ok(all)
}

/// Returns the peers with the names `names`, after building them.
pub(crate) fn others(run: &Run<'_>, names: Vec<String>) -> Result<Vec<Entrant>> {
    let built = build(run, &names)?;
    let others = names.into_iter().map(|name| Entrant {
        program: built.join(&name),
        options: Vec::new(),
        serves_files: !NO_FILES.contains(&name.as_str()),
        name,
    });
    Ok(others.collect())
}

/// Builds the peers with cargo, and returns the directory of their programs.
fn build(run: &Run<'_>, names: &[String]) -> Result<PathBuf> {
    let checkout = run.paths.checkout();
    let target = checkout.join("target/peers");
    for name in names {
        let known = PEERS.contains(&name.as_str()) || name == NAMED;
        ensure!(known, "no peer is called {name}; there are {}", PEERS.join(", "));
    }
    // A peer that needs another crate is built with the cargo feature of the peer's name.
    let features: Vec<_> =
        names.iter().map(String::as_str).filter(|name| !ALWAYS.contains(name)).collect();
    eprintln!(
        "compare: building tests/peers, which may take some minutes the first time"
    );
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--no-default-features"])
        .args(["--features", &features.join(",")])
        .arg("--manifest-path")
        .arg(checkout.join("tests/peers/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cannot run cargo to build the peers")?;
    ensure!(
        status.success(),
        "cargo could not build tests/peers; it needs its crates from crates.io the first time"
    );
    Ok(target.join("release"))
}

/// Starts each server and sends it one request. Returns the servers that can be started, and the
/// versions of the peers. If the peer [`OPTIONAL`] cannot be started, it is left out, with a
/// remark.
///
/// # Errors
///
/// A server other than [`OPTIONAL`] cannot be started; or a server does not answer, or answers with
/// more or fewer bytes than the first server.
pub(crate) fn inspected(
    all: Vec<Entrant>,
    run: &Run<'_>,
    site: &Path,
    cores: &Cores,
    remarks: &mut Vec<String>,
) -> Result<(Vec<Entrant>, Vec<String>)> {
    let mut versions = locked(run, &all)?;
    let mut there = Vec::new();
    let mut first: Option<Vec<u8>> = None;
    for entrant in all {
        let running = match entrant.start(site, cores) {
            Err(_) if entrant.name == OPTIONAL => {
                remarks.push(format!("Without {OPTIONAL}, which is not installed here"));
                continue;
            }
            running => running?,
        };
        let answer =
            ask(running.address, KEPT).and_then(|mut asked| answered(&mut asked));
        let answer = answer.with_context(|| entrant.name.clone())?;
        let expected = first.get_or_insert_with(|| answer.clone());
        ensure!(
            answer.len() == expected.len(),
            "{} answers with {} bytes, and the first server with {}:\n{:?}\n{:?}",
            entrant.name,
            answer.len(),
            expected.len(),
            String::from_utf8_lossy(&answer),
            String::from_utf8_lossy(expected)
        );
        if entrant.name == OPTIONAL {
            versions.push(version(&running)?);
        }
        there.push(entrant);
    }
    Ok((there, versions))
}

/// Returns the versions of the peers' packages, from cargo's lock file.
fn locked(run: &Run<'_>, all: &[Entrant]) -> Result<Vec<String>> {
    let path = run.paths.checkout().join("tests/peers/Cargo.lock");
    let lock: toml::Table = files::read(&path)?.parse()?;
    let version = |name: &str| {
        let packages = lock.get("package")?.as_array()?;
        let package = packages.iter().find(|package| {
            package.get("name").and_then(toml::Value::as_str) == Some(name)
        })?;
        Some(format!("{name} {}", package.get("version")?.as_str()?))
    };
    Ok(PACKAGES
        .into_iter()
        .filter(|(peer, _)| all.iter().any(|one| one.name == *peer))
        .filter_map(|(_, package)| version(package))
        .collect())
}

/// Returns the version of a running nginx, by executing its program with the option `-v`.
fn version(running: &Server) -> Result<String> {
    let output =
        Command::new(format!("/proc/{}/exe", running.id())).arg("-v").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(said.trim().trim_start_matches("nginx version: ").replace('/', " "))
}
