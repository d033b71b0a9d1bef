//! The command `cargo step`: shows the learner's position and the next step, and helps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, bail};
use client_suite::case::Case;
use client_suite::judge::DocumentRoot;
use client_suite::target::{Program, Target};
use client_suite::{cleanup, environment, timeout};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cutter;
use crate::gate::{self, Red, TIMEOUT};
use crate::ladder::{Hole, Step, Track, read, url};
use crate::starter::{self, MARK, Mark};
use crate::work;

/// The interval at which `--watch` checks for changes. It reads the files, because a network file
/// system may not report changes.
const LOOK: Duration = Duration::from_millis(500);

/// A learner's crate in the current directory, with its track and its state.
pub struct Session {
    directory: PathBuf,
    track: Track,
    state: State,
}

/// The state that is kept between two runs of `cargo step`. Deleting the state loses no work.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The index of the first step that was red in the last run.
    reached: usize,
    /// The number of hints given, by the step's name.
    hints: BTreeMap<String, usize>,
    /// A hash of the program and the gate at the time when a step was last green, by the step's
    /// name.
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
    /// first that is red. Returns whether all are green.
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

    /// Judges those of several steps that are not known to be green, some of them at the same time,
    /// and remembers the steps that are green. Returns the index of the first step that may be red,
    /// if there is one.
    fn judge_ahead(
        &mut self,
        steps: Range<usize>,
        root: &Path,
    ) -> anyhow::Result<Option<usize>> {
        let programs: BTreeSet<&str> =
            self.track.steps[steps.clone()].iter().map(|step| &*step.program).collect();
        let programs: Vec<&str> = programs.into_iter().collect();
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message(format!("building {} programs", programs.len()));
        let Ok(built) = work::build(&self.directory, &programs) else {
            bar.finish_and_clear();
            return Ok(Some(steps.start));
        };
        let mut waiting = Vec::new();
        for index in steps {
            let step = &self.track.steps[index];
            let path = built.get(&step.program).context("cargo built no program")?;
            let (gate, hash) = self.gate(step, path)?;
            if self.state.green.get(&step.name) != Some(&hash) {
                let profile = self.track.profile(step)?;
                waiting.push((index, gate, hash, profile, target(step, path.clone())));
            }
        }
        bar.set_message(format!("judging {} steps", waiting.len()));
        let (next, green) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        thread::scope(|scope| {
            for _ in 0..STEPS_AT_ONCE.min(waiting.len()) {
                scope.spawn(|| {
                    while let Some((index, gate, hash, profile, target)) =
                        waiting.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let (red, time) =
                            gate::first_red(gate, profile, target, root, &|| ());
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

    /// Returns a step's gate, and a hash of the gate and of the program.
    fn gate(&self, step: &Step, program: &Path) -> anyhow::Result<(Vec<Case>, String)> {
        let gate = self.track.gate(step)?;
        let names: Vec<_> = gate.iter().map(Case::full_name).collect();
        let mut hasher = DefaultHasher::new();
        (fs::read(program)?, names).hash(&mut hasher);
        Ok((gate, format!("{:016x}", hasher.finish())))
    }

    /// Prints and remembers that a step is green.
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
        let built = work::build(&self.directory, &[&step.program]);
        bar.finish_and_clear();
        let Ok(mut built) = built else {
            print!("{}", self.heading(index));
            println!(
                "\nIt does not compile: the compiler's first message above says where."
            );
            print!("{}", self.footing(index));
            return Ok(false);
        };
        let path = built.remove(&step.program).context("cargo built no program")?;
        let (gate, hash) = self.gate(step, &path)?;
        if self.state.green.get(&step.name) == Some(&hash) {
            return Ok(true);
        }
        let bar = ProgressBar::new(gate.len() as u64);
        let style = format!("step {} {{bar:20}} {{pos}} of {{len}} cases", index + 1);
        bar.set_style(ProgressStyle::with_template(&style)?);
        let target = target(step, path);
        let profile = self.track.profile(step)?;
        let (red, time) = gate::first_red(&gate, profile, &target, root, &|| bar.inc(1));
        bar.finish_and_clear();
        if let Some(red) = red {
            print!("{}", self.report(index, gate.len(), &red));
            return Ok(false);
        }
        self.is_green(index, hash, time)?;
        Ok(true)
    }

    /// Returns the lines about a step that do not depend on the verdict.
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
            let _ = writeln!(text, "file         {file}{line}, {address}");
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

    fn report(&self, index: usize, cases: usize, red: &Red) -> String {
        let case = red.case.full_name();
        let count = match cases {
            1 => "the only case".to_owned(),
            _ => format!("case {} of {cases}", red.index + 1),
        };
        let (heading, footing) = (self.heading(index), self.footing(index));
        format!("{heading}case         {case} ({count})\n\n{}{footing}", red.text)
    }

    /// Returns the text of a hole's function in the learner's file.
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
        self.function(hole).is_ok_and(|function| bare(&function).ends_with(&stub))
    }

    fn line_of(&self, hole: &Hole) -> Option<usize> {
        let source = fs::read_to_string(self.directory.join(hole.file())).ok()?;
        let found = cutter::find(&source, hole.address()).ok()?;
        Some(source[..found[0].whole.start].lines().count() + 1)
    }

    /// Returns the learner's current step, with its index.
    fn current(&self) -> anyhow::Result<(usize, &Step)> {
        let index = self.state.reached;
        let step = self.track.steps.get(index);
        step.map(|step| (index, step)).context("all steps are green")
    }

    /// Prints the next hint.
    ///
    /// # Errors
    ///
    /// Fails if all steps are green, because then no step is the current one.
    pub fn hint(&mut self) -> anyhow::Result<()> {
        let (index, step) = self.current()?;
        let given = self.state.hints.get(&step.name).copied().unwrap_or(0);
        println!("Step {}: {}, hint {} of 3", index + 1, step.title, (given + 1).min(3));
        match step.hints.get(given) {
            Some(hint) => println!("\n{}\n", hint.trim_end()),
            None => {
                for hole in &step.holes {
                    let reference = self.reference_body(hole)?;
                    let half = cutter::first_half(&reference);
                    println!("\nThe first half of {}:\n\n{half}", hole.address());
                }
                println!("`cargo step show` shows the rest.");
            }
        }
        let name = step.name.clone();
        self.state.hints.insert(name, given + 1);
        self.save()
    }

    fn reference_body(&self, hole: &Hole) -> anyhow::Result<String> {
        let reference = self.track.reference(hole.file())?;
        let found = cutter::find(&reference, hole.address());
        let found = found.map_err(anyhow::Error::msg)?;
        Ok(reference[found[0].body.clone()].to_owned())
    }

    /// Prints the difference between the learner's functions and the reference.
    ///
    /// # Errors
    ///
    /// Fails if all steps are green, because then no step is the current one.
    pub fn show(&self) -> anyhow::Result<()> {
        let (_, step) = self.current()?;
        for hole in &step.holes {
            let reference = self.track.reference(hole.file())?;
            let found = cutter::find(&reference, hole.address());
            let found = found.map_err(anyhow::Error::msg)?;
            let reference = &reference[found[0].whole.clone()];
            // A missing function counts as an empty one.
            let yours = self.function(hole).unwrap_or_default();
            match work::difference(hole.file(), &yours, reference) {
                Ok(same) if same.is_empty() => {
                    println!("{} is the book's, to the letter.", hole.address());
                }
                Ok(difference) => print!("{difference}"),
                Err(_) => println!("{reference}"), // git is not installed
            }
        }
        Ok(())
    }

    /// Puts the holes of the current step back in place of the learner's code, which is kept in a
    /// branch.
    ///
    /// # Errors
    ///
    /// Fails if the code cannot be kept in a branch, or if a function is missing.
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

    /// Prints all steps.
    pub fn list(&self) {
        for (index, step) in self.track.steps.iter().enumerate() {
            let mark = match index.cmp(&self.state.reached) {
                std::cmp::Ordering::Less => "green",
                std::cmp::Ordering::Equal => "here ",
                std::cmp::Ordering::Greater => "     ",
            };
            let kind = if step.is_mend() { "mend" } else { "build" };
            let (number, minutes) = (index + 1, step.minutes);
            let program = &step.program;
            println!(
                "{mark}  {number:>2}  {kind:5}  {minutes:>3} min  {program:16}  {}",
                step.title
            );
        }
        let left = self.track.minutes_from(self.state.reached);
        println!("\n{} left of {}.", hours(left), hours(self.track.minutes_from(0)));
    }

    /// Judges after every change, until the process is interrupted.
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

    /// Returns a hash of the crate's manifest and sources.
    fn sources_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut paths =
            vec![self.directory.join("Cargo.toml"), self.directory.join("src")];
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

    /// Merges the starter of the present course into the learner's crate.
    ///
    /// # Errors
    ///
    /// Fails if the crate has no git history.
    pub fn update(&self) -> anyhow::Result<()> {
        let files = starter::files(&self.track)?;
        let new: Mark = toml::from_str(&files[MARK])?;
        if self.mark()?.edition == new.edition {
            println!("Nothing is new.");
            return Ok(());
        }
        let (kept, conflicts) = work::merge_starter(&self.directory, &files)?;
        println!(
            "The course is at {} now. Your work as it was is in the branch {kept}.",
            new.commit
        );
        if conflicts {
            bail!("both sides have changed the same lines: `git status` names the files");
        }
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

/// Returns a step's program, as the suite starts it.
fn target(step: &Step, path: PathBuf) -> Target {
    let command = format!("cargo run --bin {} --", step.program);
    Target::Binary(Program { path, command, source: None })
}

/// The file of the state, in the crate.
const STATE: &str = "target/course.json";

/// Prepares this process for judging: its environment, its handler for interrupts, and the suite's
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

fn hours(minutes: u32) -> String {
    match minutes {
        0..90 => format!("{minutes} minutes"),
        _ => format!("{} hours", (f64::from(minutes) / 30.0).round() / 2.0),
    }
}
