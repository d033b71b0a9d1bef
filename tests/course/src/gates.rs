//! Proves the ladder, the ordered list of the course's steps. While a step's hole is open, the
//! checks in the step's gate fail (they are red), and the checks of all earlier steps pass (they
//! are green). When the hole is filled, the step's checks are green, too. When a gate is recorded,
//! the same method selects its checks.
//!
//! A single build is enough: in a copy of the learner's crate, each hole contains both the open and
//! the filled code, and an environment variable says which steps are open.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, ensure};
use client_suite::case::Case;
use client_suite::cases;
use client_suite::judge::DocumentRoot;
use client_suite::profile::{ServerProfile, UNKNOWN};
use client_suite::target::Target;

use crate::gate::{Check, Subject, Test};
use crate::ladder::{Hole, Mistake, Step, Track, checkout, read};
use crate::starter::{self, Files};
use crate::work;

/// The number of checks that are made at the same time. Most of them wait for a server whose code
/// is wrong, so they use little processor time.
const AT_ONCE: usize = 12;

/// The largest number of checks in a gate: more checks would hardly show anything new.
const MOST_CASES: usize = 8;

/// The longest duration, in seconds, of a case in a gate. A case that the step names in full may
/// take longer.
const MOST_SECONDS: u8 = 2;

/// A question: does a program pass a check while a step and all later steps are open?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    /// The index of the first open step that has a hole in the program's code; the number of all
    /// steps if there is none.
    open: usize,
    /// The position, in [`Track::mistakes`], of a common mistake that fills a hole, if there is one.
    mistake: Option<usize>,
    /// The name of the judged program or, if the check is a test, of the test program.
    program: String,
    /// The name of the check, as gates record it.
    check: String,
}

/// The answer to a [`Question`]: the description of the failure, or `None` if the check passes; and
/// the time that the check took.
type Answer = (Option<String>, Duration);

/// Proves the ladder of the track called `track` or, with `record`, writes its gates anew. With
/// `only`, proves or records only the steps whose names contain the text `only`. Returns whether
/// every gate fails while its step is open and passes when the step is filled or, with `record`,
/// whether every recorded gate has at least one check.
///
/// # Errors
///
/// Fails if the copy of the learner's crate does not compile, or if the suite cannot judge on this
/// machine.
pub fn run(track: &str, record: bool, only: Option<&str>) -> anyhow::Result<bool> {
    let track = Track::load(track)?;
    let proof = Proof::build(&track)?;
    let chosen = |step: &Step| only.is_none_or(|part| step.name.contains(part));
    let steps: Vec<usize> =
        (0..track.steps.len()).filter(|&index| chosen(&track.steps[index])).collect();
    ensure!(!steps.is_empty(), "no step has such a name");
    if record {
        ensure!(cfg!(target_os = "linux"), "only Linux has all steps to record");
        return proof.record(&steps);
    }
    proof.check(&steps)
}

/// The copy of the learner's crate with a switch for each hole, and its programs.
struct Proof<'t> {
    track: &'t Track,
    directory: PathBuf,
    /// The paths of the copy's programs and test programs, by name.
    programs: BTreeMap<String, PathBuf>,
    /// For each program, the indices of the steps that have a hole in the program's source.
    steps_of: BTreeMap<String, BTreeSet<usize>>,
}

impl<'t> Proof<'t> {
    fn build(track: &'t Track) -> anyhow::Result<Self> {
        let directory = checkout().join("target/course").join(&track.name);
        let sources = starter::switched_sources(track)?;
        let mut files = starter::files(track)?;
        files.extend(sources.clone());
        starter::write(&directory, &files)?;
        starter::lock(&directory)?;
        let names: Vec<_> = track.programs.keys().map(String::as_str).collect();
        let copy = || format!("{}, the copy with switches", directory.display());
        let mut programs = work::build(&directory, &names).with_context(copy)?;
        let steps = track.steps.iter();
        let tests = steps.flat_map(|step| step.tests.iter().chain(&step.also));
        let tests: Vec<Test> = tests.filter_map(|text| Test::parse(text)).collect();
        let tests = tests.iter().map(|test| &*test.program).collect();
        programs.extend(work::build_tests(&directory, &tests).with_context(copy)?);
        let mut steps_of = BTreeMap::new();
        for program in programs.keys() {
            let reached = match track.is_workspace() {
                true => reached_packages(&files, program),
                // A program, or the tests of a program or of the library.
                false => match program.strip_prefix("my-servers/") {
                    Some(tested) => reached_files(&sources, &format!("src/{tested}.rs")),
                    None => reached_files(&sources, &format!("src/bin/{program}.rs")),
                },
            };
            let is_reached = |hole: &Hole| match hole.file().split_once("/src/") {
                Some((package, _)) => reached.contains(package),
                None => reached.contains(hole.file()),
            };
            let changes =
                |&index: &usize| track.steps[index].holes.iter().any(is_reached);
            let steps = (0..track.steps.len()).filter(changes).collect();
            steps_of.insert(program.clone(), steps);
        }
        Ok(Self { track, directory, programs, steps_of })
    }

    /// Returns the question whether a check of the step `step` passes while the steps from the
    /// index `open` on are open.
    fn question(&self, open: usize, step: &Step, check: &Check) -> Question {
        let program = match check {
            Check::Case(_) => &step.program,
            Check::Test(test) => &test.program,
        };
        let steps = self.steps_of.get(program);
        let first = steps.and_then(|steps| steps.range(open..).next());
        let open = first.copied().unwrap_or(self.track.steps.len());
        Question { open, mistake: None, program: program.to_owned(), check: check.name() }
    }

    /// Makes the checks of all questions, at most `at_once` at the same time, and returns the
    /// answer to each question.
    fn ask(
        &self,
        questions: BTreeSet<Question>,
        at_once: usize,
    ) -> anyhow::Result<BTreeMap<Question, Answer>> {
        let root = DocumentRoot::new()?;
        let scripts = tempfile::tempdir()?;
        let mut targets = BTreeMap::new();
        for Question { open, mistake, program, .. } in &questions {
            let mistaken = mistake.map_or(String::new(), |index| index.to_string());
            let name = format!("{}-{open}-{mistaken}", program.replace('/', "-"));
            let path = scripts.path().join(name);
            let built = &self.programs[program];
            let script = format!(
                "#!/bin/sh\nexec env -i COURSE_OPEN={open} COURSE_MISTAKE={mistaken} '{}' \"$@\"\n",
                built.display()
            );
            if !path.exists() {
                fs::write(&path, script)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
            targets.insert((*open, *mistake, program.clone()), path);
        }
        let all = cases::all();
        let questions: Vec<_> = questions.into_iter().collect();
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(question) =
                        questions.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let Question { open, mistake, program, check } = question;
                        let path = &targets[&(*open, *mistake, program.clone())];
                        let case = all.iter().find(|case| case.full_name() == *check);
                        let check = match (case, Test::parse(check)) {
                            (Some(case), _) => Check::Case(*case),
                            (None, Some(test)) => Check::Test(test),
                            (None, None) => continue,
                        };
                        let like = self.track.programs.get(program);
                        let profile = like.and_then(|like| ServerProfile::by_name(like));
                        let subject = Subject {
                            directory: &self.directory,
                            profile: profile.unwrap_or(&UNKNOWN),
                            target: Target::Binary(path.clone().into()),
                            tests: &BTreeMap::from([(program.clone(), path.clone())]),
                            root: &root.path,
                        };
                        let start = Instant::now();
                        let answer = (subject.verdict(&check), start.elapsed());
                        let mut answers =
                            answers.lock().unwrap_or_else(PoisonError::into_inner);
                        answers.insert(question.clone(), answer);
                    }
                });
            }
        });
        Ok(answers.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn check(&self, steps: &[usize]) -> anyhow::Result<bool> {
        let gates: Vec<Vec<Check>> = self
            .track
            .steps
            .iter()
            .map(|step| self.track.checks(step))
            .collect::<Result<_, _>>()?;
        // The checks that the step lists under `also` are the last of its gate. They may pass while
        // the step's hole is open, so `proofs` does not count them.
        let proofs = |step: usize| gates[step].len() - self.track.steps[step].also.len();
        let question = |open: usize, index: usize, check: &Check| {
            self.question(open, &self.track.steps[index], check)
        };
        let mistaken = |at: usize, step: usize, check: &Check| Question {
            mistake: Some(at),
            ..question(step + 1, step, check)
        };
        let mistakes = || {
            let all = self.track.mistakes().enumerate();
            all.filter(|(_, (step, _))| steps.contains(step))
        };
        // For each question, whether the check is expected to be red (to fail).
        let mut expected = BTreeMap::new();
        for &step in steps {
            for (index, gate) in gates.iter().enumerate().take(step + 1) {
                for (at, check) in gate.iter().enumerate() {
                    if index < step || at < proofs(step) {
                        expected.insert(question(step, index, check), index == step);
                    }
                    expected.insert(question(step + 1, index, check), false);
                }
            }
        }
        for (at, (step, mistake)) in mistakes() {
            let check = gates[step].iter().find(|check| check.name() == mistake.case);
            expected.extend(check.map(|check| (mistaken(at, step, check), true)));
        }
        let start = Instant::now();
        let mut answers = self.ask(expected.keys().cloned().collect(), AT_ONCE)?;
        // On a busy machine a check may fail, or pass, only because the program is slow. So each
        // question with an unexpected answer is asked once more, while no other check is made.
        let surprise = |(question, red): (&Question, &bool)| {
            (answers[question].0.is_some() != *red).then(|| question.clone())
        };
        let again = expected.iter().filter_map(surprise).collect();
        answers.extend(self.ask(again, 1)?);
        let mut holds = true;
        for (at, (step, Mistake { case: expected, says, .. })) in mistakes() {
            let is_it = |check: &&Check| check.name() == *expected;
            let check = gates[step].iter().find(is_it);
            let text =
                check.and_then(|check| answers[&mistaken(at, step, check)].0.as_deref());
            if !text.is_some_and(|text| text.contains(says)) {
                let name = &self.track.steps[step].name;
                println!("{name}: a mistake is not stopped by {expected} with `{says}`");
                println!("{}", text.unwrap_or("it is green"));
                holds = false;
            }
        }
        for &step in steps {
            let Step { name, title, .. } = &self.track.steps[step];
            // The checks of a gate are made at the same time, so a gate takes as long as its
            // longest check.
            let [mut red, mut green] = [Duration::ZERO; 2];
            for (at, check) in gates[step].iter().enumerate() {
                green = green.max(answers[&question(step + 1, step, check)].1);
                if at >= proofs(step) {
                    continue;
                }
                let full = check.name();
                let open = &answers[&question(step, step, check)];
                if open.0.is_none() {
                    println!("{name}: {full} is green while the hole is open");
                    holds = false;
                }
                red = red.max(open.1);
            }
            for (index, gate) in gates.iter().enumerate().take(step + 1) {
                let earlier = &self.track.steps[index].name;
                for check in gate {
                    let full = check.name();
                    for open in [step, step + 1] {
                        if open == step && index == step {
                            continue;
                        }
                        if let Some(text) = &answers[&question(open, index, check)].0 {
                            let state = if open == step { "open" } else { "filled" };
                            let text =
                                text.lines().take(3).collect::<Vec<_>>().join("\n");
                            println!(
                                "{earlier}: {full} is red while {name} is {state}\n{text}"
                            );
                            holds = false;
                        }
                    }
                }
            }
            let (number, count) = (step + 1, gates[step].len());
            let [red, green] = [red, green].map(|time| time.as_secs_f64());
            println!(
                "{number:>2}  {name:18}  {count:>2} checks, red in {red:.1} s, green in {green:.1} s  {title}"
            );
        }
        let (count, seconds) = (answers.len(), start.elapsed().as_secs());
        println!("{count} verdicts in {seconds} s");
        Ok(holds)
    }

    fn record(&self, steps: &[usize]) -> anyhow::Result<bool> {
        let mut candidates = BTreeMap::new();
        let mut questions = BTreeSet::new();
        for &index in steps {
            let step = &self.track.steps[index];
            let checks = self.candidates_of(step)?;
            for check in &checks {
                let question = |open| self.question(open, step, check);
                questions.extend([question(index), question(index + 1)]);
            }
            candidates.insert(index, checks);
        }
        // All questions are asked twice: a check with two different results is a race, and proves
        // nothing.
        let answers =
            [self.ask(questions.clone(), AT_ONCE)?, self.ask(questions, AT_ONCE)?];
        let mut text = String::from(
            "# Written by `cargo run -p course -- gates --record`: the checks that fail while a step's hole is\n# open, and pass when it is filled.\n",
        );
        let mut complete = true;
        for (index, step) in self.track.steps.iter().enumerate() {
            let old: Vec<String> = self
                .track
                .gate(step)
                .map_or(Vec::new(), |gate| gate.iter().map(Check::name).collect());
            let gate = match candidates.get(&index) {
                None => old,
                Some(checks) => {
                    let flips = |check: &&Check| {
                        answers.iter().all(|answers| {
                            let red = |open| {
                                let question = self.question(open, step, check);
                                answers[&question].0.is_some()
                            };
                            red(index) && !red(index + 1)
                        })
                    };
                    let new: Vec<_> = checks
                        .iter()
                        .filter(flips)
                        .map(Check::name)
                        .take(MOST_CASES)
                        .collect();
                    for name in new.iter().filter(|name| !old.contains(name)) {
                        println!("{}: + {name}", step.name);
                    }
                    for name in old.iter().filter(|name| !new.contains(name)) {
                        println!("{}: - {name}", step.name);
                    }
                    if new.is_empty() {
                        println!(
                            "{}: no check tells the hole from the reference",
                            step.name
                        );
                        complete = false;
                    }
                    new
                }
            };
            let _ = writeln!(text, "{} = [", step.name);
            for name in gate {
                let _ = writeln!(text, "    \"{name}\",");
            }
            text += "]\n";
        }
        fs::write(self.track.gates_file(), text)?;
        Ok(complete)
    }
}

/// Returns the packages of the workspace whose code is in a program: the program's own package, and
/// the packages on which that package depends, directly or not.
fn reached_packages(files: &Files, program: &str) -> BTreeSet<String> {
    let own = match program.split_once('/') {
        Some((package, _)) => Some(package),
        None => files.keys().find_map(|file| {
            file.strip_suffix(".rs")?.strip_suffix(program)?.strip_suffix("/src/bin/")
        }),
    };
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = own.map(str::to_owned).into_iter().collect();
    while let Some(package) = waiting.pop() {
        let manifest = files.get(&format!("{package}/Cargo.toml"));
        let lines = manifest.map_or("", String::as_str).lines();
        let names = lines.filter_map(|line| line.strip_suffix(".workspace = true"));
        waiting.extend(names.filter(|name| !reached.contains(*name)).map(str::to_owned));
        reached.insert(package);
    }
    reached
}

/// Returns the source files whose code is in a program: the program's own file, and the modules
/// that it uses, directly or through other modules.
fn reached_files(sources: &Files, program: &str) -> BTreeSet<String> {
    let uses = |file: &str, module: &str| {
        let lines =
            sources[file].lines().filter(|line| !line.trim_start().starts_with("//"));
        let marks = ["use ", "mod ", "crate::", "my_servers::"];
        let mut paths = lines.filter(|line| marks.iter().any(|mark| line.contains(mark)));
        paths.any(|line| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == module)
        })
    };
    let mut reached = BTreeSet::from([program.to_owned()]);
    loop {
        let is_used = |file: &&String| {
            let module = Path::new(file.as_str()).file_stem().unwrap_or_default();
            let module = module.to_string_lossy();
            reached.iter().any(|user| uses(user, &module))
        };
        let library = sources.keys().filter(|file| !file.starts_with("src/bin/"));
        let more: Vec<_> =
            library.filter(|f| !reached.contains(*f)).filter(is_used).cloned().collect();
        if more.is_empty() {
            return reached;
        }
        reached.extend(more);
    }
}

impl Proof<'_> {
    /// Returns the checks from which a step's gate is chosen: the cases that match the step's list
    /// of cases and that the book's own program is known to pass, in the order of that list, and
    /// after them the step's tests.
    fn candidates_of(&self, step: &Step) -> anyhow::Result<Vec<Check>> {
        let mut list = None;
        for chapter in fs::read_dir(checkout())?.flatten() {
            let file = chapter.path().join("tests/small").join(&step.program);
            let file = file.with_extension("txt");
            if file.exists() {
                list = Some(read(&file)?);
            }
        }
        if self.track.is_workspace() {
            list = Some(String::new());
        }
        let list =
            list.with_context(|| format!("{} has no list of cases", step.program))?;
        let profile = self.track.profile(step)?;
        let named = |case: &Case| step.cases.contains(&case.full_name());
        let passes = |case: &Case| {
            let name = case.full_name();
            if list.is_empty() {
                // Without a list of expected verdicts, the program is one of the book's finished
                // servers, which pass every case that applies to them.
                return case.skip_reason(profile).is_none();
            }
            list.lines().any(|line| {
                let mut words = line.split_whitespace();
                // In the list of expected verdicts, `varies` marks a case that a reset may make
                // fail. A case that fails because of a reset is judged a second time, so a gate may
                // contain such a case if the step names it in full.
                let verdict = words.next().unwrap_or_default();
                words.next() == Some(&name)
                    && (verdict == "pass" || verdict == "varies" && named(case))
            })
        };
        let wanted: Vec<_> = cases::all()
            .into_iter()
            .filter(|case| step.wants(case) && passes(case))
            .filter(|case| named(case) || case.seconds <= MOST_SECONDS)
            .collect();
        let rank = |case: &Case| {
            let name = case.full_name();
            step.cases.iter().position(|wish| *wish == name || wish == case.family)
        };
        let mut ranked: Vec<_> =
            wanted.into_iter().map(|case| (rank(&case), case)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let cases = ranked.into_iter().map(|(_, case)| Check::Case(case));
        let tests = step.tests.iter().filter_map(|text| Test::parse(text));
        Ok(cases.chain(tests.map(Check::Test)).collect())
    }
}
