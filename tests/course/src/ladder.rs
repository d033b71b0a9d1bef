//! A ladder: the steps of a track in their order, as `main.toml` and `deep.toml` list them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use client_suite::case::Case;
use client_suite::cases;
use client_suite::profile::ServerProfile;
use serde::Deserialize;

/// A track: where its files come from, which programs they make, and its steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// The packages of the book that are copied, if the track is about finished servers. Their
    /// files keep their paths.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The files of the learner's crate, by their path there, with the source of each.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Files that only Linux can compile, and programs that only it can run.
    #[serde(default)]
    pub linux: Vec<String>,
    /// The libraries of the learner's crate, as lines of its manifest.
    #[serde(default)]
    pub dependencies: String,
    /// Paths in the book's crates, and in the learner's library.
    #[serde(default)]
    pub paths: Vec<(String, String)>,
    /// Text that is different in the learner's crate.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// The programs, with the server of the book that each resembles.
    pub programs: BTreeMap<String, String>,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// The name of the track.
    #[serde(skip)]
    pub name: String,
    /// The recorded gates, by the step's name.
    #[serde(skip)]
    gates: BTreeMap<String, Vec<String>>,
}

/// The name of the main track: the small servers.
pub const MAIN: &str = "main";

/// The name of the deep track: the finished servers.
pub const DEEP: &str = "deep";

/// A text that is replaced, which occurs once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The learner's file.
    pub file: String,
    /// The text in the source.
    pub from: String,
    /// The text in the learner's file.
    pub to: String,
}

/// A step: a hole, and the cases that pass when it is filled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A short name that does not change, such as `accept`.
    pub name: String,
    /// The title, such as `Accept until EAGAIN`.
    pub title: String,
    /// The page and section of the book, such as `ch01-small.md#forty-lines-small-hello`.
    pub page: String,
    /// About how many minutes a learner needs for the step.
    pub minutes: u32,
    /// The program that is judged.
    pub program: String,
    /// The families or full names of cases that may be in the gate.
    pub cases: Vec<String>,
    /// The functions that are open, in one or more files.
    pub holes: Vec<Hole>,
    /// A question, and the calls in order. The third hint is half of the reference.
    pub hints: [String; 2],
    /// A mistake that is often made here, and that the gate must stop.
    pub mistake: Option<Mistake>,
}

/// A body that is wrong in a usual way. All other holes of the step are filled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// The hole, as in [`Hole::at`].
    pub at: String,
    /// The body.
    pub body: String,
    /// The case of the gate that stops it.
    pub case: String,
    /// What the failure says.
    pub says: String,
}

/// A function whose body the learner writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hole {
    /// The learner's file and the function's address, separated by `#`.
    pub at: String,
    /// The body in the starter: one that works and is wrong. Without it the hole is a `todo!`.
    pub naive: Option<String>,
}

impl Hole {
    /// Returns the learner's file.
    pub fn file(&self) -> &str {
        self.at.split_once('#').map_or(&self.at, |(file, _)| file)
    }

    /// Returns whether the hole is the function at this address of this file.
    pub fn is_at(&self, file: &str, address: &str) -> bool {
        self.file() == file && self.address() == address
    }

    /// Returns the function's address, as the cutter takes it.
    pub fn address(&self) -> &str {
        self.at.split_once('#').map_or("", |(_, address)| address)
    }
}

impl Step {
    /// Returns the body that the starter has in one of the step's holes.
    pub fn stub(&self, hole: &Hole) -> String {
        hole.naive.clone().unwrap_or_else(|| format!("todo!({:?})", self.title))
    }

    /// Returns whether the starter's code works and is wrong, so that it is to be mended.
    pub fn is_mend(&self) -> bool {
        self.holes.iter().all(|hole| hole.naive.is_some())
    }

    /// Returns whether a case may be in the gate.
    pub fn wants(&self, case: &Case) -> bool {
        let name = case.full_name();
        self.cases.iter().any(|wanted| *wanted == name || wanted == case.family)
    }
}

impl Track {
    /// Reads the main track.
    ///
    /// # Errors
    ///
    /// A file is missing or inconsistent.
    pub fn main() -> anyhow::Result<Self> {
        Self::load(MAIN)
    }

    /// Reads a track: [`MAIN`], [`DEEP`], or a chapter's part of that, such as `ch05`.
    ///
    /// # Errors
    ///
    /// A file is missing or inconsistent, or there is no such track.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        let stem = if name == MAIN { MAIN } else { DEEP };
        let text = read(&package().join(format!("{stem}.toml")))?;
        let mut track: Self = toml::from_str(&text).with_context(|| stem.to_owned())?;
        name.clone_into(&mut track.name);
        track.gates = toml::from_str(&read(&track.gates_file())?).context("gates")?;
        if track.is_workspace() {
            track.steps.retain(|step| name == DEEP || step.holes[0].at.starts_with(name));
            ensure!(
                !track.steps.is_empty(),
                "there are no steps in {name}'s finished servers"
            );
            let holes = track.steps.iter().flat_map(|step| &step.holes);
            track.files = holes
                .map(|hole| (hole.file().to_owned(), hole.file().to_owned()))
                .collect();
        }
        // What cannot run here is not asked for: those functions are filled.
        let runs_here = |step: &Step| {
            let file = format!("src/bin/{}.rs", step.program);
            let linux = cfg!(target_os = "linux") || !track.linux.contains(&file);
            linux && track.profile(step).map_or(true, ServerProfile::runs_here)
        };
        let mut runs: Vec<bool> = track.steps.iter().map(runs_here).rev().collect();
        track.steps.retain(|_| runs.pop().unwrap_or(true));
        for step in &track.steps {
            track.profile(step)?;
            for hole in &step.holes {
                let file = hole.file();
                ensure!(track.files.contains_key(file), "{}: no file {file}", step.name);
            }
        }
        Ok(track)
    }

    /// Returns whether the track is a copy of the book's packages.
    pub fn is_workspace(&self) -> bool {
        !self.packages.is_empty()
    }

    /// Returns the file of the recorded gates.
    pub fn gates_file(&self) -> PathBuf {
        let stem = if self.name == MAIN { MAIN } else { DEEP };
        package().join(format!("{stem}.gates.toml"))
    }

    /// Returns how a file names the root of its library.
    pub fn root(&self, file: &str) -> &'static str {
        if file.starts_with("src/bin/") { "my_servers" } else { "crate" }
    }

    /// Returns the profile by which a step's program is judged.
    ///
    /// # Errors
    ///
    /// The step names a program that is not listed.
    pub fn profile(&self, step: &Step) -> anyhow::Result<&'static ServerProfile> {
        let like = self.programs.get(&step.program);
        let profile = like.and_then(|like| ServerProfile::by_name(like));
        profile.with_context(|| format!("{}: no program {}", step.name, step.program))
    }

    /// Returns the recorded gate of a step, in the order in which its cases are reported.
    ///
    /// # Errors
    ///
    /// Nothing is recorded, or a case that no longer exists.
    pub fn gate(&self, step: &Step) -> anyhow::Result<Vec<Case>> {
        let Some(names) = self.gates.get(&step.name) else {
            bail!(
                "{} has no recorded gate: cargo run -p course -- gates --record",
                step.name
            );
        };
        let all = cases::all();
        let case = |name: &String| {
            let found = all.iter().find(|case| case.full_name() == *name).copied();
            found.with_context(|| format!("{}: the suite has no case {name}", step.name))
        };
        names.iter().map(case).collect()
    }

    /// Returns the minutes of the steps from this index on.
    pub fn minutes_from(&self, index: usize) -> u32 {
        self.steps[index..].iter().map(|step| step.minutes).sum()
    }

    /// Returns the source of a learner's file, as the reference has it in the learner's crate.
    ///
    /// # Errors
    ///
    /// The source cannot be read, or a change does not fit.
    pub fn reference(&self, file: &str) -> anyhow::Result<String> {
        let source = self.files.get(file).with_context(|| format!("no file {file}"))?;
        let mut text = crate::cutter::strip_anchors(&read(&checkout().join(source))?);
        let root = self.root(file);
        for (from, to) in &self.paths {
            text = text.replace(from, &format!("{root}::{to}"));
        }
        for Change { from, to, .. } in self.changes.iter().filter(|c| c.file == file) {
            ensure!(
                text.matches(from).count() == 1,
                "{file}: `{from}` is not there once"
            );
            text = text.replace(from, to);
        }
        Ok(text)
    }
}

/// Returns where the book's own server has a page, given as `page.md#section`.
pub fn url(page: &str) -> String {
    let (page, section) = page.split_once(".md#").unwrap_or((page, ""));
    format!("http://127.0.0.1:3000/{page}.html#{section}")
}

/// Returns the directory of this package.
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the directory of the book's repository.
pub fn checkout() -> PathBuf {
    package().ancestors().nth(2).map_or_else(package, Path::to_path_buf)
}

/// Returns a file's text.
///
/// # Errors
///
/// Those of reading a file, with its path.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
