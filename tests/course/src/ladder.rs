//! A track of the course: an ordered list of steps (a ladder), each with a hole in a server's code
//! for the learner to fill. `main.toml` lists the steps of the main track, `deep.toml` those of the
//! deep track.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use client_suite::case::Case;
use client_suite::cases;
use client_suite::profile::ServerProfile;
use serde::Deserialize;

use crate::gate::{Check, Test};

/// A track of the course: the files of the learner's crate, the programs that they make, and the
/// steps in which the learner completes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// The packages of the book that are copied into the learner's workspace, under the same paths.
    /// The deep track copies packages; the main track lists single files instead, and this list is
    /// empty.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The directories that the tests of the copied packages read, and that lie outside these
    /// packages. The starter contains copies of these directories, too.
    #[serde(default)]
    pub directories: Vec<String>,
    /// The files that are made from the book's sources: each path in the learner's crate, with the
    /// path of its source in the book's repository.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The learner's files that compile only on Linux: modules of the library, and programs.
    #[serde(default)]
    pub linux: Vec<String>,
    /// The libraries that the learner's crate depends on, as lines of its `Cargo.toml`.
    #[serde(default)]
    pub dependencies: String,
    /// Replacements of module paths in the learner's files: a path in the book's crates, and the
    /// path below the root of the learner's library that takes its place.
    #[serde(default)]
    pub paths: Vec<(String, String)>,
    /// The passages in which a learner's file differs from its source in the book's repository.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Code at the end of some of the learner's files that is not in the book: tests that judge
    /// what no case can observe, and that need the file's private functions.
    #[serde(default)]
    pub appended: BTreeMap<String, String>,
    /// The programs: the name of each, and the name of the book's server that it resembles.
    pub programs: BTreeMap<String, String>,
    /// The track's steps, in the order in which a learner takes them.
    pub steps: Vec<Step>,
    /// The name by which [`load`](Self::load) reads the track: [`MAIN`], [`DEEP`], or a chapter
    /// such as `ch05`.
    #[serde(skip)]
    pub name: String,
    /// The recorded gates: for each step, by name, the names of its checks.
    #[serde(skip)]
    gates: BTreeMap<String, Vec<String>>,
}

/// The name of the main track: the small servers.
pub const MAIN: &str = "main";

/// The name of the deep track: the finished servers.
pub const DEEP: &str = "deep";

/// A replacement of a text that occurs exactly once in the source of a learner's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The path of the learner's file in which the text is replaced.
    pub file: String,
    /// The text in the source, which is replaced.
    pub from: String,
    /// The text in the learner's file, which replaces the text `from`.
    pub to: String,
}

/// A step: a hole, and the checks that pass when the hole is filled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A short, permanent name of the step, such as `accept`.
    pub name: String,
    /// The step's title, such as `Accept until EAGAIN`.
    pub title: String,
    /// The page and section of the book that the step belongs to, such as
    /// `ch01-small.md#forty-lines-small-hello`.
    pub page: String,
    /// About how many minutes a learner needs for the step.
    pub minutes: u32,
    /// The name of the program that the step's gate judges.
    pub program: String,
    /// The families or full names of cases from which the step's gate (the cases that must pass)
    /// is chosen.
    #[serde(default)]
    pub cases: Vec<String>,
    /// Cases, by their full names, and tests that must pass when the hole is filled, and may pass
    /// while it is open, too: they detect mistakes that learners make, and that the open hole does
    /// not contain.
    #[serde(default)]
    pub also: Vec<String>,
    /// Tests in the learner's crate that may be in the gate, for behavior that no case can observe,
    /// in the form that [`Test::parse`] reads.
    #[serde(default)]
    pub tests: Vec<String>,
    /// The functions that the starter leaves open, in one or more files.
    pub holes: Vec<Hole>,
    /// The first two hints: a question, and the calls in the order in which the function makes
    /// them. The third hint, the first half of the book's own code, is computed.
    pub hints: [String; 2],
    /// Mistakes that are often made in this step, and that its checks must detect.
    #[serde(default)]
    pub mistakes: Vec<Mistake>,
}

/// A function body that learners often write and that is wrong. When it is judged, all other holes
/// of the step have the book's own code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// The hole that has the wrong body, in the form of [`Hole::at`].
    pub at: String,
    /// The wrong body of the function.
    pub body: String,
    /// The name of the step's check that fails because of the mistake.
    pub case: String,
    /// A text that the failure report of the check contains.
    pub says: String,
}

/// A function whose body the learner writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hole {
    /// The learner's file and the function's address in it, such as `Type::method`, separated by
    /// `#`.
    pub at: String,
    /// The body that the starter has in the hole: code that compiles and runs, but is wrong, and
    /// that the learner corrects. `None` if the hole is a `todo!`.
    pub naive: Option<String>,
}

impl Hole {
    /// Returns the path of the learner's file that contains the hole.
    pub fn file(&self) -> &str {
        self.at.split_once('#').map_or(&self.at, |(file, _)| file)
    }

    /// Returns whether the hole is the function that `address`, such as `Type::method`, names in
    /// the learner's file `file`.
    pub fn is_at(&self, file: &str, address: &str) -> bool {
        self.file() == file && self.address() == address
    }

    /// Returns the function's address, in the form that [`crate::cutter::find`] takes.
    pub fn address(&self) -> &str {
        self.at.split_once('#').map_or("", |(_, address)| address)
    }
}

impl Step {
    /// Returns the body that the starter has in one of the step's holes.
    pub fn stub(&self, hole: &Hole) -> String {
        hole.naive.clone().unwrap_or_else(|| format!("todo!({:?})", self.title))
    }

    /// Returns whether every hole of the step contains code that compiles and runs, but is wrong,
    /// for the learner to correct. Otherwise at least one hole contains a `todo!`.
    pub fn is_mend(&self) -> bool {
        self.holes.iter().all(|hole| hole.naive.is_some())
    }

    /// Returns whether a case may be in the gate of this step.
    pub fn wants(&self, case: &Case) -> bool {
        let name = case.full_name();
        self.cases.iter().any(|wanted| *wanted == name || wanted == case.family)
    }
}

impl Track {
    /// Reads the course's main track, the small servers.
    ///
    /// # Errors
    ///
    /// Fails if a file of the track is missing or inconsistent.
    pub fn main() -> anyhow::Result<Self> {
        Self::load(MAIN)
    }

    /// Reads a track: [`MAIN`], [`DEEP`], or one chapter's part of the deep track, such as `ch05`.
    ///
    /// # Errors
    ///
    /// Fails if a file of the track is missing or inconsistent, or if there is no such track.
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
        // Steps whose programs cannot run on this system are dropped: their functions are filled
        // with the book's own code.
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

    /// Returns whether the learner's crate is a workspace of packages that are copied from the
    /// book.
    pub fn is_workspace(&self) -> bool {
        !self.packages.is_empty()
    }

    /// Returns the path of the file that contains the track's recorded gates.
    pub fn gates_file(&self) -> PathBuf {
        let stem = if self.name == MAIN { MAIN } else { DEEP };
        package().join(format!("{stem}.gates.toml"))
    }

    /// Returns the name by which a learner's file refers to the root of the learner's library: the
    /// library's name in a program's file, `crate` in the library's own files.
    pub fn root(&self, file: &str) -> &'static str {
        if file.starts_with("src/bin/") { "my_servers" } else { "crate" }
    }

    /// Returns the profile by which a step's program is judged.
    ///
    /// # Errors
    ///
    /// Fails if the step names a program that is not listed in the track.
    pub fn profile(&self, step: &Step) -> anyhow::Result<&'static ServerProfile> {
        let like = self.programs.get(&step.program);
        let profile = like.and_then(|like| ServerProfile::by_name(like));
        profile.with_context(|| format!("{}: no program {}", step.name, step.program))
    }

    /// Returns the recorded gate of a step, in the order in which its checks are reported.
    ///
    /// # Errors
    ///
    /// Fails if no gate is recorded for the step, or if the gate names a case that no longer
    /// exists.
    pub fn gate(&self, step: &Step) -> anyhow::Result<Vec<Check>> {
        let Some(names) = self.gates.get(&step.name) else {
            bail!(
                "{} has no recorded gate: cargo run -p course -- gates --record",
                step.name
            );
        };
        named(step, names)
    }

    /// Returns the checks that a learner's code must pass at a step: the gate, and after it those
    /// in [`Step::also`].
    ///
    /// # Errors
    ///
    /// Fails as [`gate`](Self::gate) does, or if a case does not exist.
    pub fn checks(&self, step: &Step) -> anyhow::Result<Vec<Check>> {
        Ok([self.gate(step)?, named(step, &step.also)?].concat())
    }

    /// Returns the mistakes of all steps, each with the index of its step. A mistake's position in
    /// this list identifies it.
    pub fn mistakes(&self) -> impl Iterator<Item = (usize, &Mistake)> {
        let steps = self.steps.iter().enumerate();
        steps.flat_map(|(index, step)| step.mistakes.iter().map(move |m| (index, m)))
    }

    /// Returns about how many minutes a learner needs for the steps from the index `index` on.
    pub fn minutes_from(&self, index: usize) -> u32 {
        self.steps[index..].iter().map(|step| step.minutes).sum()
    }

    /// Returns the source of a learner's file with the book's code in place of every hole.
    ///
    /// # Errors
    ///
    /// Fails if the source cannot be read, or if a text that a [`Change`] replaces does not occur
    /// exactly once in the source.
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
        if let Some(tests) = self.appended.get(file) {
            text = format!("{}\n\n{tests}", text.trim_end());
        }
        Ok(text)
    }
}

/// Returns the checks of a step that have these names.
fn named(step: &Step, names: &[String]) -> anyhow::Result<Vec<Check>> {
    let all = cases::all();
    let check = |name: &String| {
        if let Some(test) = Test::parse(name) {
            return Ok(Check::Test(test));
        }
        let found = all.iter().find(|case| case.full_name() == *name).copied();
        let found = found.map(Check::Case);
        found.with_context(|| format!("{}: the suite has no case {name}", step.name))
    };
    names.iter().map(check).collect()
}

/// Returns the URL at which the book's own web server has a page, given as `page.md#section`.
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
/// Fails if the file cannot be read; the error contains the file's path.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}
