//! The command `cargo step`: judges the learner's steps, shows the current one, and gives hints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, slice, thread};

use anyhow::{Context as _, bail};
use client_suite::judge::DocumentRoot;
use client_suite::target::{Program, Target};
use client_suite::{cleanup, environment, timeout};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cutter;
use crate::gate::{self, Check, Red, Subject, TIMEOUT};
use crate::ladder::{Hole, Step, Track, read, url};
use crate::starter::{self, MARK, Mark};
use crate::work;

/// The interval at which `--watch` checks for changes. Each check reads the files, because a
/// network file system may not report changes.
const LOOK: Duration = Duration::from_millis(500);

/// The learner's crate that contains the current directory, with its track and its state.
pub struct Session {
    directory: PathBuf,
    track: Track,
    state: State,
}

/// The state that is kept between two runs of `cargo step`. Deleting the state loses no work.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The index of the learner's current step, the first that was red in the last run.
    reached: usize,
    /// The number of hints given, by the step's name.
    hints: BTreeMap<String, usize>,
    /// For each step, by name, the hash of its program and its gate when the step was last green.
    green: BTreeMap<String, String>,
}

impl Session {
    /// Opens the crate that contains the current directory.
    ///
    /// # Errors
    ///
    /// Fails if no crate of the course contains the current directory.
    pub fn open() -> anyhow::Result<Self> {
        let here = env::current_dir()?;
        let directory = here.ancestors().find(|directory| directory.join(MARK).exists());
        let directory = directory.context(
            "this is no crate of the course: make one with `cargo run -p course -- new DIR` in the book's directory",
        )?;
        let mark: Mark = toml::from_str(&read(&directory.join(MARK))?).context(MARK)?;
        let track = Track::load(&mark.track)?;
        let state = fs::read_to_string(directory.join(STATE)).unwrap_or_default();
        let mut state: State = serde_json::from_str(&state).unwrap_or_default();
        state.reached = state.reached.min(track.steps.len());
        Ok(Self { directory: directory.to_owned(), track, state })
    }

    /// Judges the steps from the learner's current one (or, with `all`, from the first) to the
    /// first that is red, which means that a check of its gate fails. Returns whether all steps are
    /// green.
    ///
    /// # Errors
    ///
    /// Fails if the suite cannot judge on this machine.
    pub fn judge(&mut self, all: bool) -> anyhow::Result<bool> {
        self.warn_of_another_edition()?;
        if all {
            (self.state.reached, self.state.green) = (0, BTreeMap::new());
        }
        let root = DocumentRoot::new()?;
        if all {
            let red = self.judge_ahead(0..self.track.steps.len(), &root.path)?;
            self.state.reached = red.unwrap_or(self.track.steps.len());
        }
        let mut earlier_hold = all || self.state.reached == 0;
        while self.state.reached < self.track.steps.len() {
            let index = self.state.reached;
            if !self.judge_step(index, &root.path)? {
                return Ok(false);
            }
            if !earlier_hold && !self.judge_earlier(index, &root.path)? {
                return Ok(false);
            }
            earlier_hold = true;
            self.state.reached += 1;
            self.save()?;
        }
        if !earlier_hold && !self.judge_earlier(self.track.steps.len(), &root.path)? {
            return Ok(false);
        }
        println!("All {} steps are green.", self.track.steps.len());
        Ok(true)
    }

    /// Judges the steps before `end` whose programs have changed since the steps were green.
    /// Returns whether all steps before `end` are green.
    fn judge_earlier(&mut self, end: usize, root: &Path) -> anyhow::Result<bool> {
        let mut start = 0;
        while let Some(index) = self.judge_ahead(start..end, root)? {
            if !self.judge_step(index, root)? {
                self.state.reached = index;
                self.save()?;
                return Ok(false);
            }
            start = index + 1;
        }
        Ok(true)
    }

    /// Judges those of `steps` that are not known to be green, some of them at the same time, and
    /// remembers the steps that are green. Returns the index of the first step that is not green,
    /// if there is one: the first of `steps` if the programs cannot be built.
    fn judge_ahead(
        &mut self,
        steps: Range<usize>,
        root: &Path,
    ) -> anyhow::Result<Option<usize>> {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message("building");
        let Some(built) = self.build(&self.track.steps[steps.clone()])? else {
            bar.finish_and_clear();
            return Ok(Some(steps.start));
        };
        let mut waiting = Vec::new();
        for index in steps {
            let step = &self.track.steps[index];
            let (gate, hash) = self.gate(step, &built)?;
            if self.state.green.get(&step.name) != Some(&hash) {
                waiting.push((index, gate, hash, self.subject(step, &built, root)?));
            }
        }
        bar.set_message(format!("judging {} steps", waiting.len()));
        let (next, green) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        thread::scope(|scope| {
            for _ in 0..STEPS_AT_ONCE.min(waiting.len()) {
                scope.spawn(|| {
                    while let Some((index, gate, hash, subject)) =
                        waiting.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let (red, time) = gate::first_red(gate, subject, &|| ());
                        if red.is_none() {
                            let mut green =
                                green.lock().unwrap_or_else(PoisonError::into_inner);
                            green.insert(*index, (hash.clone(), time));
                        }
                    }
                });
            }
        });
        bar.finish_and_clear();
        let green = green.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut indices = waiting.iter().map(|(index, ..)| *index);
        let red = indices.find(|index| !green.contains_key(index));
        for (index, (hash, time)) in green {
            self.is_green(index, hash, time)?;
        }
        Ok(red)
    }

    /// Builds the programs and the test programs that the gates of the steps `steps` need. Returns
    /// `None` if they do not compile; cargo has printed the reason.
    fn build(&self, steps: &[Step]) -> anyhow::Result<Option<Built>> {
        let programs: BTreeSet<&str> = steps.iter().map(|step| &*step.program).collect();
        let programs: Vec<&str> = programs.into_iter().collect();
        let gates = steps.iter().map(|step| self.track.checks(step));
        let gates = gates.collect::<anyhow::Result<Vec<_>>>()?.concat();
        let tests = gates.iter().filter_map(|check| match check {
            Check::Test(test) => Some(&*test.program),
            Check::Case(_) => None,
        });
        let built = work::build(&self.directory, &programs).and_then(|programs| {
            let tests = work::build_tests(&self.directory, &tests.collect())?;
            Ok(Built { programs, tests })
        });
        Ok(built.ok())
    }

    /// Returns the checks of a step's gate, and a hash of their names and of the programs that they
    /// judge.
    fn gate(&self, step: &Step, built: &Built) -> anyhow::Result<(Vec<Check>, String)> {
        let gate = self.track.checks(step)?;
        let mut hasher = DefaultHasher::new();
        fs::read(built.program(step)?)?.hash(&mut hasher);
        for check in &gate {
            check.name().hash(&mut hasher);
            if let Check::Test(test) = check
                && let Some(program) = built.tests.get(&test.program)
            {
                fs::read(program)?.hash(&mut hasher);
            }
        }
        Ok((gate, format!("{:016x}", hasher.finish())))
    }

    /// Returns what the checks of a step's gate are made on: the step's program and tests, with the
    /// paths and the profile that the checks use.
    fn subject<'a>(
        &'a self,
        step: &Step,
        built: &'a Built,
        root: &'a Path,
    ) -> anyhow::Result<Subject<'a>> {
        let path = built.program(step)?.to_owned();
        let command = format!("cargo run --bin {} --", step.program);
        Ok(Subject {
            directory: &self.directory,
            profile: self.track.profile(step)?,
            target: Target::Binary(Program { command, ..Program::from(path) }),
            tests: &built.tests,
            root,
        })
    }

    /// Prints that a step is green, and remembers it for the next run.
    fn is_green(
        &mut self,
        index: usize,
        hash: String,
        time: Duration,
    ) -> anyhow::Result<()> {
        let Step { name, title, .. } = &self.track.steps[index];
        println!("green  {:>2}  {title} ({:.1} s)", index + 1, time.as_secs_f64());
        self.state.green.insert(name.clone(), hash);
        self.save()
    }

    /// Judges one step, prints the result, and returns whether the step is green. A program that
    /// was green earlier with the same gate is not judged again.
    fn judge_step(&mut self, index: usize, root: &Path) -> anyhow::Result<bool> {
        let step = &self.track.steps[index];
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message(format!("building {}", step.program));
        let built = self.build(slice::from_ref(step));
        bar.finish_and_clear();
        let Some(built) = built? else {
            print!("{}", self.heading(index));
            println!(
                "\nIt does not compile: the compiler's first message above says where."
            );
            print!("{}", self.footing(index));
            return Ok(false);
        };
        let (gate, hash) = self.gate(step, &built)?;
        if self.state.green.get(&step.name) == Some(&hash) {
            return Ok(true);
        }
        let bar = ProgressBar::new(gate.len() as u64);
        let style = format!("step {} {{bar:20}} {{pos}} of {{len}} checks", index + 1);
        bar.set_style(ProgressStyle::with_template(&style)?);
        let subject = self.subject(step, &built, root)?;
        let (red, time) = gate::first_red(&gate, &subject, &|| bar.inc(1));
        bar.finish_and_clear();
        if let Some(red) = red {
            print!("{}", self.report(index, gate.len(), &red));
            return Ok(false);
        }
        self.is_green(index, hash, time)?;
        Ok(true)
    }

    /// Returns the lines that introduce a step that is not green: its number and title, why it is
    /// red, its page, and the place of each hole.
    fn heading(&self, index: usize) -> String {
        let step = &self.track.steps[index];
        let open = step.holes.iter().any(|hole| self.is_open(step, hole));
        let expected = match (open, self.state.green.contains_key(&step.name)) {
            (_, true) => "It was green before: a later change has broken it.",
            (true, _) if step.is_mend() => {
                "Red is expected: the code works, and is wrong in the way that the page explains."
            }
            (true, _) => "Red is expected: this hole is still open.",
            (false, _) => "Not green yet.",
        };
        let mut text = format!(
            "\nStep {} of {}: {}\n{expected}\n\n",
            index + 1,
            self.track.steps.len(),
            step.title
        );
        let _ = writeln!(text, "page         {}", url(&step.page));
        for hole in &step.holes {
            let (file, address) = (hole.file(), hole.address());
            let line =
                self.line_of(hole).map_or(String::new(), |line| format!(":{line}"));
            let is_one_of_several = step.holes.len() > 1 && self.is_open(step, hole);
            let open = if is_one_of_several { " (open)" } else { "" };
            let _ = writeln!(text, "file         {file}{line}, {address}{open}");
        }
        text
    }

    fn footing(&self, index: usize) -> String {
        let minutes = self.track.minutes_from(index);
        format!(
            "\n`cargo step hint` helps. This step takes about {} minutes, all that is left about {}.\n",
            self.track.steps[index].minutes,
            hours(minutes)
        )
    }

    fn report(&self, index: usize, checks: usize, red: &Red) -> String {
        let kind = match red.check {
            Check::Case(_) => "case",
            Check::Test(_) => "test",
        };
        let count = match checks {
            1 => "the only check".to_owned(),
            _ => format!("check {} of {checks}", red.index + 1),
        };
        let (heading, footing) = (self.heading(index), self.footing(index));
        let (name, text) = (red.check.name(), red.text.trim_end());
        format!("{heading}{kind}         {name} ({count})\n\n{text}\n{footing}")
    }

    /// Returns the text of a hole's function in the learner's file.
    ///
    /// # Errors
    ///
    /// Fails with the reason, in words, if the file cannot be read or lacks the function.
    fn function(&self, hole: &Hole) -> Result<String, String> {
        let source = read(&self.directory.join(hole.file()))
            .map_err(|error| format!("{error:#}"))?;
        let found = cutter::find(&source, hole.address())
            .map_err(|why| format!("{}: {why}", hole.file()))?;
        Ok(source[found[0].whole.clone()].to_owned())
    }

    /// Returns whether a hole still has the body of the starter.
    fn is_open(&self, step: &Step, hole: &Hole) -> bool {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        let stub = bare(&format!("{{{}}}", step.stub(hole)));
        let Ok(source) = read(&self.directory.join(hole.file())) else { return false };
        // A function may have a version for each processor architecture, of which a learner fills
        // one. So the hole is open only if all versions are unchanged.
        cutter::find(&source, hole.address()).is_ok_and(|found| {
            found.iter().all(|found| bare(&source[found.whole.clone()]).ends_with(&stub))
        })
    }

    fn line_of(&self, hole: &Hole) -> Option<usize> {
        let source = fs::read_to_string(self.directory.join(hole.file())).ok()?;
        let found = cutter::find(&source, hole.address()).ok()?;
        Some(source[..found[0].whole.start].lines().count() + 1)
    }

    /// Returns the index of the learner's current step, and the step. Fails if all steps are green.
    fn current(&self) -> anyhow::Result<(usize, &Step)> {
        let index = self.state.reached;
        let step = self.track.steps.get(index);
        step.map(|step| (index, step)).context("all steps are green")
    }

    /// Returns the next hint for the current step. The last hint is the first half of the book's own
    /// code.
    ///
    /// # Errors
    ///
    /// Fails if all steps are green, because then no step is the current one.
    pub fn hint(&mut self) -> anyhow::Result<String> {
        let (index, step) = self.current()?;
        let given = self.state.hints.get(&step.name).copied().unwrap_or(0);
        let (number, title, of) = (index + 1, &step.title, (given + 1).min(3));
        let mut text = format!("Step {number}: {title}, hint {of} of 3\n");
        match step.hints.get(given) {
            Some(hint) => text += &format!("\n{}\n\n", hint.trim_end()),
            None => {
                for hole in &step.holes {
                    let reference = self.reference_body(hole)?;
                    let half = cutter::first_half(&reference);
                    let address = hole.address();
                    text += &format!("\nThe first half of {address}:\n\n{half}\n");
                }
                text += "`cargo step show` shows the rest.\n";
            }
        }
        let name = step.name.clone();
        self.state.hints.insert(name, given + 1);
        self.save()?;
        Ok(text)
    }

    fn reference_body(&self, hole: &Hole) -> anyhow::Result<String> {
        let reference = self.track.reference(hole.file())?;
        let found = cutter::find(&reference, hole.address());
        let found = found.map_err(anyhow::Error::msg)?;
        Ok(reference[found[0].body.clone()].to_owned())
    }

    /// Returns how the learner's functions differ from the book's, for the step with the name or
    /// number `wanted`. If `wanted` is `None`: for the current step or, if the learner has not
    /// begun it, for the step before it.
    ///
    /// # Errors
    ///
    /// Fails if `wanted` is neither the name nor the number of a step.
    pub fn show(&self, wanted: Option<&str>) -> anyhow::Result<String> {
        let steps = &self.track.steps;
        let is_untouched =
            |step: &Step| step.holes.iter().all(|hole| self.is_open(step, hole));
        let index = match wanted {
            Some(wanted) => steps
                .iter()
                .enumerate()
                .position(|(at, step)| {
                    step.name == wanted || (at + 1).to_string() == wanted
                })
                .with_context(|| {
                    format!("there is no step {wanted}: `cargo step list`")
                })?,
            // If the learner has not begun the current step, showing the book's code for it would
            // give its solution away. So the step that was finished last is shown.
            None => match steps.get(self.state.reached) {
                Some(step) if !is_untouched(step) => self.state.reached,
                _ => self.state.reached.saturating_sub(1),
            },
        };
        let step = &steps[index];
        let mut text = format!("Step {}: {}\n", index + 1, step.title);
        for hole in &step.holes {
            let reference = self.track.reference(hole.file())?;
            let found = cutter::find(&reference, hole.address());
            let found = found.map_err(anyhow::Error::msg)?;
            let reference = &reference[found[0].whole.clone()];
            // A function that is missing in the learner's file is compared as an empty one.
            let yours = self.function(hole).unwrap_or_default();
            match work::difference(hole.file(), &yours, reference) {
                Ok(same) if same.is_empty() => {
                    text +=
                        &format!("{} is the book's, to the letter.\n", hole.address());
                }
                Ok(difference) => text += &difference,
                Err(_) => text += &format!("{reference}\n"), // git is not installed
            }
        }
        Ok(text)
    }

    /// Puts the holes of the current step back in place of the learner's code, and keeps that code
    /// in a new git branch.
    ///
    /// # Errors
    ///
    /// Fails if the code cannot be kept in a branch, or if the learner's file lacks a function of
    /// the step.
    pub fn reset(&self) -> anyhow::Result<()> {
        let (index, step) = self.current()?;
        let kept = work::keep(&self.directory, &format!("reset-{}", index + 1))
            .context("your work cannot be kept, so nothing was reset")?;
        println!("Your work is kept in the branch {kept}.");
        for hole in &step.holes {
            let path = self.directory.join(hole.file());
            let filled =
                cutter::fill(&read(&path)?, &[(hole.address(), step.stub(hole))]);
            match filled {
                Ok(text) => fs::write(&path, text)?,
                Err(why) => bail!(
                    "{}: {why}; `git checkout starter -- {0}` puts the whole file back",
                    hole.file()
                ),
            }
            println!("{} is as it was.", hole.at);
        }
        Ok(())
    }

    /// Returns a list of all steps, with marks at the green steps and at the current one.
    pub fn list(&self) -> String {
        let mut text = String::new();
        for (index, step) in self.track.steps.iter().enumerate() {
            let mark = match index.cmp(&self.state.reached) {
                std::cmp::Ordering::Less => "green",
                std::cmp::Ordering::Equal => "here ",
                std::cmp::Ordering::Greater => "     ",
            };
            let kind = if step.is_mend() { "mend" } else { "build" };
            let (number, minutes) = (index + 1, step.minutes);
            let program = &step.program;
            let _ = writeln!(
                text,
                "{mark}  {number:>2}  {kind:5}  {minutes:>3} min  {program:16}  {}",
                step.title
            );
        }
        let left = self.track.minutes_from(self.state.reached);
        let all = self.track.minutes_from(0);
        text + &format!("\n{} left of {}.\n", hours(left), hours(all))
    }

    /// Judges the steps after every change of the learner's sources, until all steps are green.
    ///
    /// # Errors
    ///
    /// Fails if the suite cannot judge on this machine.
    pub fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            let seen = self.sources_hash();
            let start = Instant::now();
            if self.judge(false)? {
                return Ok(());
            }
            let seconds = start.elapsed().as_secs_f64();
            println!("({seconds:.1} s; waiting for a change, Ctrl-C ends)");
            while self.sources_hash() == seen {
                thread::sleep(LOOK);
            }
        }
    }

    /// Returns a hash of all manifests and sources in the learner's crate, which changes with each
    /// of these files.
    fn sources_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let packages = self.track.packages.iter().map(Path::new);
        let mut paths: Vec<_> = std::iter::once(Path::new(""))
            .chain(packages)
            .flat_map(|package| [package.join("Cargo.toml"), package.join("src")])
            .map(|path| self.directory.join(path))
            .collect();
        while let Some(path) = paths.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => {
                    let mut inside: Vec<_> =
                        entries.flatten().map(|e| e.path()).collect();
                    inside.sort();
                    paths.extend(inside);
                }
                Err(_) => {
                    (path.clone(), fs::read(&path).unwrap_or_default()).hash(&mut hasher)
                }
            }
        }
        hasher.finish()
    }

    fn mark(&self) -> anyhow::Result<Mark> {
        toml::from_str(&read(&self.directory.join(MARK))?).context(MARK)
    }

    fn warn_of_another_edition(&self) -> anyhow::Result<()> {
        if work::is_merging(&self.directory) {
            println!("An update is not finished: `cargo step update` says what is left.");
            return Ok(());
        }
        let (old, new) = (self.mark()?, starter::files(&self.track)?);
        let new: Mark = toml::from_str(&new[MARK])?;
        if old.edition != new.edition {
            println!(
                "This crate was made from {}, and the course is at {} now: `cargo step update` takes over what is new.",
                old.commit, new.commit
            );
        }
        Ok(())
    }

    /// Merges the starter of the course's present edition into the learner's crate. If an earlier
    /// call has begun such a merge and the learner has resolved the conflicts, finishes it.
    ///
    /// # Errors
    ///
    /// Fails if the crate has no git history, or if there are conflicts.
    pub fn update(&self) -> anyhow::Result<()> {
        let files = starter::files(&self.track)?;
        let new: Mark = toml::from_str(&files[MARK])?;
        if !work::is_merging(&self.directory) {
            if self.mark()?.edition == new.edition {
                println!("Nothing is new.");
                return Ok(());
            }
            let format = !self.track.is_workspace();
            let kept = work::merge_starter(&self.directory, &files, format)?;
            println!("Your work as it was is in the branch {kept}.");
        }
        let conflicts = work::conflicts(&self.directory)?;
        if !conflicts.is_empty() {
            bail!(
                "you and the course have changed the same lines in\n    {}\n\
                 Between `<<<<<<<` and `=======` is your text, from there to `>>>>>>>` the course's. Keep what\n\
                 is right and delete these three lines, in each place; then `cargo step update` finishes.\n\
                 Or go back to your work as it was, with `git merge --abort`.",
                conflicts.join("\n    ")
            );
        }
        if work::is_merging(&self.directory) {
            work::finish_merge(&self.directory)?;
        }
        println!("The course is at {} now.", new.commit);
        Ok(())
    }

    fn save(&self) -> anyhow::Result<()> {
        let path = self.directory.join(STATE);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, serde_json::to_string(&self.state)?)?)
    }
}

/// The number of steps that are judged at the same time, if several steps are to be judged.
const STEPS_AT_ONCE: usize = 4;

/// The paths of the programs and the test programs that cargo has built, by name.
struct Built {
    programs: BTreeMap<String, PathBuf>,
    tests: BTreeMap<String, PathBuf>,
}

impl Built {
    fn program(&self, step: &Step) -> anyhow::Result<&Path> {
        let path = self.programs.get(&step.program).context("cargo built no program")?;
        Ok(path)
    }
}

/// The path, in the learner's crate, of the file with the [`State`].
const STATE: &str = "target/course.json";

/// Prepares this process to judge steps: makes the process environment independent of the parent
/// process, installs a handler that kills all servers on an interrupt, and sets the suite's
/// timeout.
///
/// # Errors
///
/// Fails if the limit on descriptors is too low.
pub fn prepare() -> anyhow::Result<()> {
    environment::normalize()?;
    cleanup::on_interrupt()?;
    timeout::set_timeout(TIMEOUT);
    Ok(())
}

/// Returns a duration in words, in minutes or in half hours.
pub fn hours(minutes: u32) -> String {
    match minutes {
        0..90 => format!("{minutes} minutes"),
        _ => format!("{} hours", (f64::from(minutes) / 30.0).round() / 2.0),
    }
}
