//! A plan: what an assignment is made of, as its file `PLAN.toml` says. `example.toml` beside this
//! file, which `course new-plan` writes, shows every key with a comment.
//!
//! ```toml
//! title = "A server with a thread for each client"
//! points = 100                     # optional: must be the sum of the parts' points
//! starter = "main"                 # a track of the course, or a directory beside the plan
//! program = "small-thread"         # the program of the starter that is judged
//! files = ["src/bin/small-thread.rs", "src/small/"]  # all that is taken from a submission
//! like = "thread"                  # the server of the book that the program resembles
//! options = ["head-timeout"]       # the contract's options that the program offers; default: all
//! lacks = ["files", "stats"]       # features that the assignment does not demand
//!
//! [[part]]
//! name = "Framing"
//! points = 60
//! cases = ["framing", "chunks::*", "!framing::two_lengths"]  # families, names, `*`, `!`
//! rule = "each"                    # points for each case; "all": only for all of them
//! needs = ["Begin"]                # zero if one of these parts has zero
//! visibility = "visible"           # or hidden, after_due_date, after_published
//! seconds = 60                     # the most that the part may take
//! stub = { open = ["deadline"] }   # a naive solution, which loses this part only
//! ```
//!
//! Cases that need a feature listed in `lacks`, or that do not apply to the server that `like`
//! names, are left out when the plan is read, and count for nothing. Which cases a machine cannot
//! try is known only when it grades a submission.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use client_suite::case::{Case, Need};
use client_suite::profile::{PROFILES, ServerProfile, UNKNOWN};
use client_suite::target::{OPTIONS, PROJECT_OPTIONS};
use serde::Deserialize;

use super::pattern::{matches, nearest};
pub use super::plan_error::PlanError;
pub use super::points::Points;
use crate::ladder::{DEEP, MAIN};

/// An assignment: its parts, and the settings for judging a submission.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plan {
    /// The assignment's title, which reports show.
    pub title: String,
    /// The sum of all parts' points, which a plan may give so that a mistake in the parts is
    /// detected.
    pub points: Option<Points>,
    /// The starter over which a submission's files are copied: a track of the course (`main`, or a
    /// chapter's finished servers such as `ch05`), or a directory relative to the plan.
    pub starter: Option<String>,
    /// The program of the starter that Cargo builds and the suite judges; `None` if `run` is given
    /// instead.
    pub program: Option<String>,
    /// The command, run by `sh` in the starter's directory, that builds the program without Cargo.
    pub build: Option<String>,
    /// The command that starts the server, with placeholders such as `{port}`. It is run in the
    /// starter's directory, and takes the place of `program`.
    pub run: Option<String>,
    /// The files, and directories with a `/` at the end, that are taken from a submission.
    #[serde(default)]
    pub files: Vec<String>,
    /// The server of the book that the program resembles; if it is `None`, the program must have
    /// every capability that the book's servers have.
    pub like: Option<String>,
    /// The chapter whose contract the server must keep, 1 to 6. `None` stands for the chapter of
    /// the server that `like` names or, without `like`, for chapter 6.
    pub level: Option<u8>,
    /// The contract's options that the server offers; `None` if it offers all. A case that sets
    /// another option scores zero.
    pub options: Option<Vec<String>>,
    /// The features that the assignment does not demand. Cases that need one of these features are
    /// left out.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Seconds without progress after which a case fails.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// The user that builds and runs submissions; the command's option `--user` takes precedence.
    pub user: Option<String>,
    /// The limits on a submission.
    #[serde(default)]
    pub limits: Limits,
    /// The servers that `course check` grades to test the plan itself.
    #[serde(default)]
    pub check: Check,
    /// The assignment's parts, in the order of the plan's file, which is also the report's.
    #[serde(rename = "part")]
    pub parts: Vec<Part>,
    /// The directory of the plan's file.
    #[serde(skip)]
    pub directory: PathBuf,
}

fn default_timeout() -> u64 {
    10
}

/// A part of an assignment: some cases, and the points for them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The part's name, which is unique in the plan.
    pub name: String,
    /// The points for the whole part.
    pub points: Points,
    /// The patterns that choose the cases: each is a family, a full name, or a pattern with `*`. A
    /// pattern that begins with `!` leaves out the cases that it matches.
    pub cases: Vec<String>,
    /// The rule by which the cases turn into points.
    #[serde(default)]
    pub rule: Rule,
    /// The names of earlier parts. If one of them has no points, this part has none either.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Whether and when students see the part's result.
    #[serde(default)]
    pub visibility: Visibility,
    /// The most seconds that the part may take. Cases that have not been judged when this time has
    /// passed score zero.
    #[serde(default = "default_seconds")]
    pub seconds: u64,
    /// A naive solution that must lose points in this part only; `course check` grades it.
    pub stub: Option<Source>,
    /// The cases that the patterns match and that apply to the server, in the suite's order.
    #[serde(skip)]
    pub chosen: Vec<Case>,
}

fn default_seconds() -> u64 {
    120
}

/// A rule by which a part's cases turn into points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Every case that passes earns its share of the points.
    #[default]
    Each,
    /// The points are earned only if all cases pass.
    All,
}

/// The times at which students may see a part's result, in Gradescope's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Students see the result at once.
    #[default]
    Visible,
    /// Students never see the result.
    Hidden,
    /// Students see the result after the assignment's due date.
    AfterDueDate,
    /// Students see the result after the grades are published.
    AfterPublished,
}

impl Visibility {
    /// Returns the name of this visibility in plans and in Gradescope's format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Hidden => "hidden",
            Self::AfterDueDate => "after_due_date",
            Self::AfterPublished => "after_published",
        }
    }
}

/// The limits on a submission: on its build and on its server. Sizes are in MiB.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// The most seconds that the build of a submission may take.
    pub build_seconds: u64,
    /// The most processes and threads that a submission may have at the same time.
    pub processes: u64,
    /// The largest address space of one process, in MiB.
    pub memory: u64,
    /// The most memory of all processes together, in MiB, measured twice a second.
    pub all_memory: u64,
    /// The largest size of one file, in MiB.
    pub file: u64,
    /// The largest size of all files together, in MiB, measured every second.
    pub disk: u64,
    /// The most open descriptors of one process.
    pub descriptors: u64,
    /// The most seconds of processor time of one process.
    pub cpu_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            build_seconds: 300,
            processes: 2000,
            memory: 4096,
            all_memory: 2048,
            file: 256,
            disk: 2048,
            descriptors: 4096,
            cpu_seconds: 300,
        }
    }
}

/// The servers that `course check` grades to test a plan: a reference solution and the starter.
/// Both may be left out if the plan's starter is a track of the course, because the course itself
/// has a solution and a starter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The reference solution, which must get all points.
    pub reference: Option<Source>,
    /// The starter that students get, which must get no points in any part.
    pub starter: Option<Source>,
}

/// The origin of a server that `course check` judges. Directories are relative to the plan's file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Source {
    /// A directory with the files that the plan names, like a submission's directory.
    Submission(PathBuf),
    /// The course's own solution, with the holes of these steps of the track open.
    Open(Vec<String>),
    /// A program of the book's repository, `PACKAGE` or `PACKAGE/PROGRAM`, with arguments.
    Package(String),
    /// A command that starts the server, with placeholders such as `{port}`; `{plan}` stands for
    /// the plan's directory.
    Cmd(String),
}

impl Plan {
    /// Reads a plan, and chooses the cases of its parts among `all`.
    ///
    /// # Errors
    ///
    /// Fails if the plan cannot be read, or contradicts itself or the suite.
    pub fn load(path: &Path, all: &[Case]) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| PlanError::Read(path.to_owned(), error))?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let directory =
            if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let directory = directory
            .canonicalize()
            .map_err(|error| PlanError::Read(path.to_owned(), error))?;
        Self::parse(&text, path, directory, all)
    }

    /// Reads a plan from its text, and chooses the cases of its parts among `all`. `path` is the
    /// name of the plan's file for error messages.
    ///
    /// # Errors
    ///
    /// Fails if the plan contradicts itself or the suite.
    pub fn parse(
        text: &str,
        path: &Path,
        directory: PathBuf,
        all: &[Case],
    ) -> Result<Self, PlanError> {
        let mut plan: Self = toml::from_str(text)
            .map_err(|error| PlanError::Toml(path.to_owned(), Box::new(error)))?;
        plan.directory = directory;
        plan.check_keys()?;
        plan.check_parts()?;
        plan.choose(all)?;
        Ok(plan)
    }

    /// Returns the profile by which the server is judged.
    ///
    /// # Errors
    ///
    /// Fails if the plan's key `like` names no server of the book.
    pub fn profile(&self) -> Result<ServerProfile, PlanError> {
        let profile = match &self.like {
            None => UNKNOWN,
            Some(name) => *ServerProfile::by_name(name).ok_or_else(|| {
                let known = PROFILES.iter().map(|profile| profile.name.to_owned());
                PlanError::Unknown("like", name.clone(), known.collect())
            })?,
        };
        Ok(ServerProfile { level: self.level.unwrap_or(profile.level), ..profile })
    }

    /// Returns the points of all parts together.
    pub fn total(&self) -> Points {
        self.parts.iter().map(|part| part.points).sum()
    }

    /// Returns whether the starter is a track of the course, rather than a directory.
    pub fn starter_is_track(&self) -> bool {
        self.starter.as_deref().is_some_and(|name| {
            name == MAIN
                || name == DEEP
                || name.len() == 4 && name.starts_with("ch0") && !name.contains('/')
        })
    }

    /// Returns the most seconds that grading one submission can take: the limits of the build and
    /// of every part, and for each part a margin for the cases that are still running.
    pub fn worst_seconds(&self) -> u64 {
        let build = if self.starter.is_some() { self.limits.build_seconds } else { 0 };
        let parts = self.parts.iter().map(|part| part.seconds + self.timeout);
        build + parts.sum::<u64>()
    }

    fn check_keys(&self) -> Result<(), PlanError> {
        self.profile()?;
        if !matches!(self.level, None | Some(1..=6)) {
            let known = (1..=6).map(|level: u8| level.to_string()).collect();
            let level = self.level.unwrap_or_default().to_string();
            return Err(PlanError::Unknown("level", level, known));
        }
        if let Some(unknown) = self
            .options
            .iter()
            .flatten()
            .find(|name| !options().any(|option| option == **name))
        {
            let known = options().map(str::to_owned).collect();
            return Err(PlanError::Unknown("options", unknown.clone(), known));
        }
        if let Some(unknown) = self.lacks.iter().find(|name| need(name).is_none()) {
            let known = NEEDS.iter().map(|need| need.name().to_owned()).collect();
            return Err(PlanError::Unknown("lacks", unknown.clone(), known));
        }
        if let Some(path) = self.files.iter().find(|path| !is_below(path)) {
            return Err(PlanError::BadPath(path.clone()));
        }
        if self.starter.is_none()
            && (self.program.is_some() || self.run.is_some() || !self.files.is_empty())
        {
            return Err(PlanError::Keys(
                "`program`, `run` and `files` need `starter`: say what they are laid onto",
            ));
        }
        if self.starter.is_some() && self.program.is_some() == self.run.is_some() {
            return Err(PlanError::Keys(
                "beside `starter`, either `program` (built by Cargo) or `run` (a command) is needed",
            ));
        }
        if self.starter.is_some() && self.files.is_empty() {
            return Err(PlanError::Keys(
                "beside `starter`, `files` is needed: name what is taken from a submission",
            ));
        }
        if self.run.is_none() && self.build.is_some() {
            return Err(PlanError::Keys("`build` needs `run`: Cargo builds a `program`"));
        }
        if self.run.is_some() && self.options.is_some() {
            return Err(PlanError::Keys(
                "`options` and `run` exclude each other: write the options into `run`, as {head-timeout}",
            ));
        }
        Ok(())
    }

    fn check_parts(&self) -> Result<(), PlanError> {
        if self.parts.is_empty() {
            return Err(PlanError::NoPart);
        }
        for (index, part) in self.parts.iter().enumerate() {
            let earlier = &self.parts[..index];
            if earlier.iter().any(|other| other.name == part.name) {
                return Err(PlanError::SameName(part.name.clone()));
            }
            if part.points == Points(0) {
                return Err(PlanError::NoPoints(part.name.clone()));
            }
            let known = |need: &&String| earlier.iter().any(|other| other.name == **need);
            if let Some(need) = part.needs.iter().find(|need| !known(need)) {
                return Err(PlanError::NoSuchNeed(part.name.clone(), need.clone()));
            }
        }
        match self.points {
            Some(points) if points != self.total() => {
                Err(PlanError::PointsSum(points, self.total()))
            }
            _ => Ok(()),
        }
    }

    /// Chooses each part's cases among `all` by the part's patterns, and leaves out those that do
    /// not apply to the server.
    fn choose(&mut self, all: &[Case]) -> Result<(), PlanError> {
        let profile = self.profile()?;
        let lacks: Vec<Need> = self.lacks.iter().filter_map(|name| need(name)).collect();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for part in &mut self.parts {
            let mut why = "all are left out with `!`".to_owned();
            for pattern in &part.cases {
                let wanted = pattern.strip_prefix('!').unwrap_or(pattern);
                if !all.iter().any(|case| matches(wanted, case)) {
                    let near = nearest(wanted, all);
                    return Err(PlanError::NoCase(
                        part.name.clone(),
                        pattern.clone(),
                        near,
                    ));
                }
            }
            let (out, wanted): (Vec<_>, Vec<_>) =
                part.cases.iter().partition(|pattern| pattern.starts_with('!'));
            for case in all {
                if !wanted.iter().any(|pattern| matches(pattern, case))
                    || out.iter().any(|pattern| matches(&pattern[1..], case))
                {
                    continue;
                }
                if let Some(reason) = case.skip_reason(&profile) {
                    why = reason;
                    continue;
                }
                if let Some(need) = case.needs.iter().find(|need| lacks.contains(need)) {
                    why = format!("they need {}, which is in `lacks`", need.name());
                    continue;
                }
                let name = case.full_name();
                if let Some(other) = taken.insert(name.clone(), part.name.clone()) {
                    return Err(PlanError::InTwoParts(name, other, part.name.clone()));
                }
                part.chosen.push(*case);
            }
            if part.chosen.is_empty() {
                return Err(PlanError::NothingApplies(part.name.clone(), why));
            }
        }
        Ok(())
    }
}

/// The features that a plan may list under the key `lacks`: the assignment does not demand them of
/// the server.
const NEEDS: [Need; 9] = [
    Need::Plaintext,
    Need::Echo,
    Need::Sleep,
    Need::Bytes,
    Need::Stats,
    Need::Panic,
    Need::Files,
    Need::Many,
    Need::Process,
];

fn need(name: &str) -> Option<Need> {
    NEEDS.into_iter().find(|need| need.name() == name)
}

/// Returns the names of the options that a plan may list: those of the book's contract, and those
/// of the projects.
pub fn options() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().chain(PROJECT_OPTIONS).map(|(name, _)| *name)
}

/// Returns whether a path names something below the directory to which it is relative: it is not
/// empty, does not begin with `/` or `./`, and has no component `..`. A `/` at its end is allowed.
fn is_below(path: &str) -> bool {
    let path = Path::new(path);
    path.components().all(|component| matches!(component, Component::Normal(_)))
        && path.components().next().is_some()
}
