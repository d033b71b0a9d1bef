//! The recorded texts of all failures. Readers of the suite's output rely on these texts, so the
//! tests compare them, too.
//!
//! `failures/FAMILY.txt` has the failures of one family. `RECORD=1 cargo test -p mutant` renews
//! these files; read the difference before you commit it.

pub(crate) mod environment;
mod mask;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io};

use crate::mutations::{MUTATIONS, Mutant};

/// The beginning of each line with a mutant's name in the files of recorded failures.
const TITLE: &str = "======== ";

/// Mutants for which only those lines of a failure are recorded that are the same in every run,
/// each with the reason why the other lines vary.
const FIXED_LINES_ONLY: &[(&str, &str)] = &[
    ("joins-absolute", "the response has a file of this machine"),
    ("idle-deadline-from-accept", "the number of requests before the deadline varies"),
    (
        "listens-while-draining",
        "whether the server exits after its client has left is a race",
    ),
    ("dies-at-reset", "the number of clients that it takes varies"),
    (
        "events-hang-up-loses-answer",
        "the number of bytes that arrive before the reset varies",
    ),
    (
        "drain-drops-half-request",
        "whether end of file or a reset is seen first is a race",
    ),
    (
        "deadline-keeps-worker",
        "the number of clients closed by the deadline until the timeout varies",
    ),
    ("grows-when-busy", "the number of requests meanwhile varies"),
    (
        "drops-when-full",
        "which client is dropped, and how the client observes it, varies",
    ),
    ("forgets-queue-at-stop", "the number of requests before varies"),
    ("never-replaces", "which client the dead worker had varies"),
    ("worker-ends-server", "which client the dead worker had varies"),
    ("elastic-grows-for-every-client", "how often the counters are asked for varies"),
    ("elastic-never-shrinks", "how often the counters are asked for varies"),
    (
        "elastic-without-bound",
        "the number of requests before the new worker serves varies",
    ),
    (
        "elastic-shrinks-at-once",
        "which workers have ended when the counter is read varies",
    ),
    (
        "elastic-panic-costs-worker",
        "how often the pool has grown during the panics varies",
    ),
    ("files-refused", "when the refusal arrives varies"),
];

/// Failure texts by mutant name.
type Texts = BTreeMap<String, String>;

#[derive(Debug)]
pub(crate) struct Recorded {
    directory: PathBuf,
    /// The failure texts of this run if this run replaces the recorded texts, otherwise `None`.
    renewed: Option<Mutex<Texts>>,
    texts: Texts,
}

impl Recorded {
    /// Reads the recorded texts. If the environment variable `RECORD` is set, this run replaces
    /// these texts.
    pub(crate) fn open() -> io::Result<Self> {
        let directory =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("failures");
        fs::create_dir_all(&directory)?;
        let mut texts = Texts::new();
        for entry in fs::read_dir(&directory)? {
            parse(&fs::read_to_string(entry?.path())?, &mut texts);
        }
        let renewed = env::var_os("RECORD").map(|_| Mutex::default());
        Ok(Self { directory, renewed, texts })
    }

    /// Compares a mutant's failure text with the text recorded for this mutant. If this run
    /// replaces the recorded texts, stores the failure text for [`save`](Self::save) instead.
    ///
    /// # Errors
    ///
    /// The two texts differ, or no text is recorded. The error describes the difference.
    pub(crate) fn compare(&self, mutant: &Mutant, failure: &str) -> Result<(), String> {
        let now = entry(mutant, failure);
        if let Some(renewed) = &self.renewed {
            let mut renewed = renewed.lock().unwrap_or_else(PoisonError::into_inner);
            renewed.insert(mutant.name.to_owned(), now);
            return Ok(());
        }
        let file = format!("tests/mutant/tests/failures/{}.txt", family(mutant));
        let renew = format!(
            "If the new text is the better one: RECORD=1 cargo test -p mutant {}",
            mutant.name
        );
        match self.texts.get(mutant.name) {
            None => Err(format!("{file} has no text for this mutant.\n{renew}\n\n{now}")),
            Some(text) if *text == now => Ok(()),
            Some(text) => Err(format!(
                "The failure differs from the text recorded in {file}.\n{renew}\n\n{}",
                difference(text, &now)
            )),
        }
    }

    /// Writes the failure texts renewed by this run. The recorded texts of mutants that were not
    /// run are kept, and those of removed mutants are deleted.
    pub(crate) fn save(&self) -> io::Result<()> {
        let Some(renewed) = &self.renewed else { return Ok(()) };
        let mut texts = self.texts.clone();
        texts.extend(renewed.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        for mutant in MUTATIONS {
            if let Some(text) = texts.get(mutant.name) {
                *files.entry(family(mutant)).or_default() +=
                    &format!("{TITLE}{}\n{text}\n", mutant.name);
            }
        }
        for entry in fs::read_dir(&self.directory)? {
            fs::remove_file(entry?.path())?;
        }
        for (family, text) in files {
            fs::write(
                self.directory.join(format!("{family}.txt")),
                text.trim_end().to_owned() + "\n",
            )?;
        }
        Ok(())
    }

    /// Returns the names of recorded mutants that no longer exist.
    pub(crate) fn stale(&self) -> Vec<&str> {
        let known = |name: &str| MUTATIONS.iter().any(|mutant| mutant.name == name);
        self.texts.keys().map(String::as_str).filter(|name| !known(name)).collect()
    }
}

fn family(mutant: &Mutant) -> &str {
    mutant.caught_by.split("::").next().unwrap_or_default()
}

/// Returns the failure text to record for a mutant, without the parts that vary from run to run.
fn entry(mutant: &Mutant, failure: &str) -> String {
    let Mutant { name, caught_by, wrong, .. } = mutant;
    let mut text = mask::mask(failure);
    if let Some((_, why)) = FIXED_LINES_ONLY.iter().find(|(other, _)| other == name) {
        text = format!("{}\n({why})", mask::fixed_lines(&text));
        // A transcript names its clients A, B, C and so on. Which client's response is cut off
        // differs from run to run, so that client is renamed to A.
        for letter in 'B'..='Z' {
            let one = format!("{letter} receives the announced");
            text = text.replace(&one, "A receives the announced");
        }
    }
    format!("a server that {wrong}: {caught_by}\n\n{}\n", text.trim_end())
}

fn parse(file: &str, texts: &mut Texts) {
    for part in format!("\n{file}").split(&format!("\n{TITLE}")).skip(1) {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        texts.insert(name.to_owned(), text.trim_end().to_owned() + "\n");
    }
}

/// Returns the lines of both texts, `recorded` and `now`, from the first difference to the last.
fn difference(recorded: &str, now: &str) -> String {
    let (recorded, now): (Vec<_>, Vec<_>) =
        (recorded.lines().collect(), now.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = recorded.iter().zip(&now).take_while(same).count();
    let (recorded, now) = (&recorded[before..], &now[before..]);
    let behind = recorded.iter().rev().zip(now.iter().rev()).take_while(same).count();
    let lines = |sign: &str, lines: &[&str]| -> String {
        let lines = &lines[..lines.len() - behind];
        lines.iter().map(|line| format!("{sign} {line}\n")).collect()
    };
    lines("recorded |", recorded) + &lines("now      |", now)
}
