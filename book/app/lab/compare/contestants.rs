//! Who is compared: servers of the book, and the peers of tests/peers.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use client_suite::profile::{Model, ServerProfile};

use super::super::Lab;
use super::super::running::{KEPT, Server, answered, ask};
use super::Options;
use super::cores::Cores;
use crate::servers;

const STAGES: [&str; 7] =
    ["epoll", "epoll-et", "coroutine", "async", "poll", "thread", "reactors"];
const PEERS: [&str; 5] = ["floor", "hyper", "actix-web", "may_minihttp", "nginx"];
/// What some of them are made of, by the names that cargo has for it.
const PACKAGES: [(&str, &str); 4] = [
    ("hyper", "hyper"),
    ("hyper", "tokio"),
    ("actix-web", "actix-web"),
    ("may_minihttp", "may_minihttp"),
];
/// Peers without files.
const NO_FILES: [&str; 2] = ["floor", "may_minihttp"];
/// Peers that need no library of others.
const ALWAYS: [&str; 2] = ["floor", "nginx"];
/// The peer that need not be there.
const PERHAPS: &str = "nginx";
/// Limits stay what they are, except those that would end this very comparison.
const OPTIONS: [&str; 4] = ["--idle-timeout", "3600", "--max-connections", "20000"];
/// Longer than any server takes to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, and how it is started.
#[derive(Debug)]
pub(super) struct Contestant {
    pub(super) name: String,
    program: PathBuf,
    options: Vec<String>,
    pub(super) serves_files: bool,
}

/// Somebody's own program.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) name: String,
    /// The program and its options.
    words: Vec<String>,
}

/// `NAME=PROGRAM …`, from the command line.
pub(super) fn named(text: &str) -> Result<Own> {
    let (name, command) = text.split_once('=').context("not NAME=PROGRAM")?;
    let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
    ensure!(!words.is_empty(), "not NAME=PROGRAM");
    Ok(Own { name: name.to_owned(), words })
}

/// All who are named; where nobody is, the usual ones. Builds what is not there yet.
pub(super) fn all(lab: &Lab<'_>, asked: &Options) -> Result<Vec<Contestant>> {
    let Options { stages, peers, beside, .. } = asked;
    let or = |names: &[String], usual: &[&str]| -> Vec<String> {
        let usual = usual.iter().copied().map(str::to_owned);
        if names.is_empty() { usual.collect() } else { names.to_vec() }
    };
    let mut all = Vec::new();
    for name in or(stages, &STAGES) {
        let known = ServerProfile::by_name(&name);
        let stage =
            known.with_context(|| format!("no server of the book is called {name}"))?;
        if matches!(stage.model, Model::ProcessPerClient | Model::PoolOfProcesses) {
            bail!(
                "{name} is several processes, and only one is measured; choose another"
            );
        }
        let mut options: Vec<String> = OPTIONS.map(str::to_owned).to_vec();
        if matches!(name.as_str(), "reactors" | "coroutine" | "async") {
            options.extend(["--threads", "1"].map(str::to_owned));
        }
        let program = servers::find(lab.house, &name)?;
        all.push(Contestant { name, program, options, serves_files: true });
    }
    all.extend(beside.iter().map(|Own { name, words }| Contestant {
        name: name.clone(),
        program: PathBuf::from(&words[0]),
        options: words[1..].to_vec(),
        serves_files: true,
    }));
    let peers = or(peers, &PEERS);
    let built = build(lab, &peers)?;
    all.extend(peers.into_iter().map(|name| Contestant {
        program: built.join(&name),
        options: Vec::new(),
        serves_files: !NO_FILES.contains(&name.as_str()),
        name,
    }));
    Ok(all)
}

/// Has cargo build the peers; returns where they are.
fn build(lab: &Lab<'_>, names: &[String]) -> Result<PathBuf> {
    let checkout = lab.house.checkout();
    let target = checkout.join("target/peers");
    for name in names {
        ensure!(
            PEERS.contains(&name.as_str()),
            "no peer is called {name}: {}",
            PEERS.join(", ")
        );
    }
    // Each has a feature of its name, but for those that are made of nothing else.
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
        .map_err(|error| anyhow!("cannot run cargo to build the peers: {error}"))?;
    ensure!(
        status.success(),
        "cargo could not build tests/peers; it needs its crates from crates.io the first time"
    );
    Ok(target.join("release"))
}

impl Contestant {
    /// Starts it on the server's core.
    pub(super) fn start(&self, site: &Path, cores: &Cores) -> Result<Server> {
        let mut command = Command::new(&self.program);
        command.args(&self.options).arg("--root").arg(site);
        command.env("TMPDIR", site); // where nginx has its configuration
        let running = cores.start(|| Server::command(&mut command, &self.name))?;
        // Who becomes another program says where it listens before it does.
        let start = Instant::now();
        while let Err(error) = TcpStream::connect(running.address) {
            ensure!(start.elapsed() < PATIENCE, "{} does not listen: {error}", self.name);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }
}

/// Asks each of them once: all that are there must say as much as the first does. Returns
/// them, and the versions of those that are not ours.
pub(super) fn inspected(
    all: Vec<Contestant>,
    lab: &Lab<'_>,
    site: &Path,
    cores: &Cores,
    remarks: &mut Vec<String>,
) -> Result<(Vec<Contestant>, Vec<String>)> {
    let mut versions = locked(lab, &all)?;
    let mut there = Vec::new();
    let mut first: Option<Vec<u8>> = None;
    for contestant in all {
        let running = match contestant.start(site, cores) {
            Err(_) if contestant.name == PERHAPS => {
                remarks.push(format!("Without {PERHAPS}, which is not installed here"));
                continue;
            }
            running => running?,
        };
        let answer =
            ask(running.address, KEPT).and_then(|mut asked| answered(&mut asked));
        let answer = answer.with_context(|| contestant.name.clone())?;
        let expected = first.get_or_insert_with(|| answer.clone());
        ensure!(
            answer.len() == expected.len(),
            "{} answers with {} bytes, and the first server with {}:\n{:?}\n{:?}",
            contestant.name,
            answer.len(),
            expected.len(),
            String::from_utf8_lossy(&answer),
            String::from_utf8_lossy(expected)
        );
        if contestant.name == PERHAPS {
            versions.push(version(&running)?);
        }
        there.push(contestant);
    }
    Ok((there, versions))
}

/// The versions that cargo has built.
fn locked(lab: &Lab<'_>, all: &[Contestant]) -> Result<Vec<String>> {
    let path = lab.house.checkout().join("tests/peers/Cargo.lock");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let lock: toml::Table = text.parse()?;
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

/// What the program that runs says of itself.
fn version(running: &Server) -> Result<String> {
    let output =
        Command::new(format!("/proc/{}/exe", running.id())).arg("-v").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    Ok(said.trim().trim_start_matches("nginx version: ").replace('/', " "))
}
