//! The text of every failure, as it was recorded: what a reader is told when a
//! promise is broken is a promise too. `failures/FAMILY.txt` has the failures of
//! a family; `RECORD=1 cargo test -p mutant` renews them, and the difference is
//! then there to be read.

pub(crate) mod elsewhere;
mod mask;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs, io};

use crate::mutations::{MUTATIONS, Mutant};

/// Begins the line with a mutant's name.
const TITLE: &str = "======== ";

/// Failures of which only the lines that depend on no event are recorded, and why.
const NOT_WHOLE: &[(&str, &str)] = &[
    ("joins-absolute", "what came is a file of the machine's"),
    ("idle-deadline-from-accept", "how many requests fit into the time is chance"),
    (
        "listens-while-draining",
        "whether it ends when its client has gone is seen by chance",
    ),
    ("dies-at-reset", "how many clients it takes is chance"),
    ("events-hang-up-loses-answer", "how much arrives before the reset is chance"),
    ("drain-drops-half-request", "whether the end or a reset is seen first is chance"),
    (
        "deadline-keeps-worker",
        "how many its deadline has ended when patience ends is chance",
    ),
    ("grows-when-busy", "how often the client asks meanwhile is chance"),
    ("drops-when-full", "whom it drops, and how the client sees that, is chance"),
    ("forgets-queue-at-stop", "how often the client asks before is chance"),
    ("never-replaces", "whose client the dead worker had is chance"),
    ("worker-ends-server", "whose client the dead worker had is chance"),
];

/// Texts by the mutant's name.
type Texts = BTreeMap<String, String>;

/// What is recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    directory: PathBuf,
    /// The texts of this run, if they are to be the new record.
    renewed: Option<Mutex<Texts>>,
    texts: Texts,
}

impl Recorded {
    /// Reads the record.
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

    /// Compares a failure with the recorded one, or keeps it to be recorded.
    pub(crate) fn compare(&self, mutant: &Mutant, failure: &str) -> Result<(), String> {
        let now = entry(mutant, failure);
        if let Some(renewed) = &self.renewed {
            let mut renewed = renewed.lock().unwrap_or_else(PoisonError::into_inner);
            renewed.insert(mutant.name.to_owned(), now);
            return Ok(());
        }
        let file = format!("tests/mutant/tests/failures/{}.txt", family(mutant));
        let renew = format!(
            "Is the new text the better one? Then RECORD=1 cargo test -p mutant {}",
            mutant.name
        );
        match self.texts.get(mutant.name) {
            None => {
                Err(format!("{file} has no failure of this mutant.\n{renew}\n\n{now}"))
            }
            Some(text) if *text == now => Ok(()),
            Some(text) => Err(format!(
                "The failure is not the one that is recorded in {file}.\n{renew}\n\n{}",
                difference(text, &now)
            )),
        }
    }

    /// Writes what this run has renewed. A failure that this run did not meet stays;
    /// one whose mutant is no more goes.
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

    /// What is recorded of mutants that are no more.
    pub(crate) fn forgotten(&self) -> Vec<&str> {
        let known = |name: &str| MUTATIONS.iter().any(|mutant| mutant.name == name);
        self.texts.keys().map(String::as_str).filter(|name| !known(name)).collect()
    }
}

fn family(mutant: &Mutant) -> &str {
    mutant.caught_by.split("::").next().unwrap_or_default()
}

/// What is recorded of a failure.
fn entry(mutant: &Mutant, failure: &str) -> String {
    let Mutant { name, caught_by, wrong, .. } = mutant;
    let mut text = mask::mask(failure);
    if let Some((_, why)) = NOT_WHOLE.iter().find(|(other, _)| other == name) {
        text = format!("{}\n({why})", mask::heart(&text));
        // Nor does it matter which of several clients it is that has only a part.
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

/// The lines that differ: what is before the first and behind the last is left out.
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
