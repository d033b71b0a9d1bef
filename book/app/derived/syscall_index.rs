//! The index of system calls: the calls that the servers make, the source files with each call, and
//! the sections of the book about the call. The names of the calls are listed in syscalls.toml;
//! files and sections are searched for each time the index is made, so they cannot go out of date.
//! The book's check reports a system call in the sources that syscalls.toml lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use figures::text::table as markdown;
use manuscript::files::{files, read};
use manuscript::pages::{Pages, sections};
use manuscript::problem::Problem;
use regex::Regex;
use serde::Deserialize;

use crate::paths::Paths;

/// The list of system calls, in TOML. Comments at the top of the file explain its fields.
const CALLS: &str = include_str!("syscalls.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    section: u8,
    does: String,
    code: Vec<String>,
    told: Option<String>,
    #[serde(default)]
    but: Vec<String>,
}

impl Call {
    /// Returns the regular expressions that find the system call in the sources.
    fn code(&self) -> Result<Vec<Regex>> {
        Ok(self.code.iter().map(|code| Regex::new(code)).collect::<Result<_, _>>()?)
    }

    /// Returns the regular expression that finds the system call `name` in a page: as code, with or
    /// without arguments, or followed by its section of the manual.
    fn page(&self, name: &str) -> Result<Regex> {
        // A page may also name the older form of a system call, such as `accept` for `accept4`.
        let name = match name {
            "accept4" => "accept4?",
            "openat2" => "open(?:at2)?",
            "getrlimit" => "[gs]etrlimit",
            "epoll_create1" => "epoll_create1?",
            name => name,
        };
        let or = self.told.as_ref().map_or(String::new(), |told| format!("|{told}"));
        let manual = self.section;
        Ok(Regex::new(&format!(r"`{name}(?:\([^`]*\))?`|\b{name}\({manual}\){or}"))?)
    }
}

fn calls() -> Result<BTreeMap<String, Call>> {
    toml::from_str(CALLS).context("in book/app/derived/syscalls.toml")
}

/// A source file of a chapter, without comments and tests.
struct Source {
    name: PathBuf,
    code: String,
}

fn sources(paths: &Paths) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut chapters: Vec<PathBuf> = std::fs::read_dir(paths.checkout())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    chapters.retain(|dir| {
        dir.file_name().is_some_and(|name| is_chapter(&name.to_string_lossy()))
    });
    chapters.sort();
    for chapter in chapters {
        for path in files(&chapter.join("src"), "rs")? {
            let text = read(&path)?;
            let own = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code = own
                .lines()
                .map(|line| format!("{}\n", line.split("//").next().unwrap_or_default()));
            let name = path.strip_prefix(paths.checkout()).unwrap_or(&path).to_owned();
            sources.push(Source { name, code: code.collect() });
        }
    }
    Ok(sources)
}

/// Returns whether the directory or page called `name` belongs to a chapter.
fn is_chapter(name: &str) -> bool {
    name.starts_with("ch0") || name == PROCESSES
}

/// The page that explains chapter 1's processes and signals.
const PROCESSES: &str = "processes-and-signals.md";

/// Returns the index of system calls, as a Markdown table.
pub(super) fn table(paths: &Paths, pages: &Pages) -> Result<String> {
    let sources = sources(paths)?;
    let row = |(name, call): (&String, &Call)| -> Result<String> {
        let (page, code) = (call.page(name)?, call.code()?);
        let mut places = Vec::new();
        let is_meant =
            |file: &str| is_chapter(file) && !call.but.iter().any(|but| but == file);
        for chapter in pages.0.iter().filter(|page| is_meant(&page.file)) {
            // The index links to one section of each page: the first that mentions the call.
            if let Some(section) = sections(&chapter.text)
                .iter()
                .find(|section| page.is_match(&section.text))
            {
                let number =
                    chapter.file.strip_prefix("ch0").map_or("1", |rest| &rest[..1]);
                let (title, file, id) = (&section.title, &chapter.file, &section.id);
                places.push(format!("[{number}: {title}]({file}#{id})"));
            }
        }
        let found = sources
            .iter()
            .filter(|source| code.iter().any(|code| code.is_match(&source.code)))
            .map(|source| format!("`{}`", shorter(&source.name)));
        let cell = |texts: Vec<String>| {
            if texts.is_empty() { "–".to_owned() } else { texts.join("<br>") }
        };
        let Call { section, does, .. } = call;
        let (told, called) = (cell(places), cell(found.collect()));
        Ok(format!("`{name}({section})` | {does} | {told} | {called}"))
    };
    let rows = calls()?.iter().map(row).collect::<Result<Vec<_>>>()?;
    let head = "call | what for | where the book speaks of it | where the code does";
    Ok(markdown(head, rows))
}

/// Shortens a source's path: `ch01-blocking/src/server/sys.rs` becomes `ch01/server/sys.rs`.
fn shorter(name: &Path) -> String {
    let name = name.display().to_string();
    match name.split_once("/src/") {
        Some((chapter, file)) => format!("{}/{file}", &chapter[..4]),
        None => name,
    }
}

/// Returns a problem for each system call that a source makes through `libc` or `nix` and the list
/// of system calls lacks, and for each entry of the list that no source calls.
pub(super) fn unknown(paths: &Paths) -> Result<Vec<Problem>> {
    const LIST: &str = "book/app/derived/syscalls.toml";
    let sources = sources(paths)?;
    let raw = Regex::new(r"\b(?:libc::|nix::(?:[a-z]\w*::)+)[a-z_]\w*\(")?;
    let mut problems = Vec::new();
    let mut known = Vec::new();
    for (name, call) in &calls()? {
        let code = call.code()?;
        let called =
            |code: &Regex| sources.iter().any(|source| code.is_match(&source.code));
        if !code.iter().any(called) {
            let what = format!("no chapter calls {name}: remove it from {LIST}");
            problems.push(Problem::in_file(Path::new("system-calls.md"), what));
        }
        known.extend(code);
    }
    let mut seen = BTreeSet::new();
    for source in &sources {
        for found in raw.find_iter(&source.code).map(|found| found.as_str()) {
            if !known.iter().any(|code| code.is_match(found)) && seen.insert(found) {
                let what = format!(
                    "calls {found}…), which the index of system calls lacks: add it to {LIST}"
                );
                problems.push(Problem::in_file(&source.name, what));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_as_the_pages_name_it() -> Result<()> {
        let calls = calls()?;
        let (poll, accept) =
            (calls["poll"].page("poll")?, calls["accept4"].page("accept4")?);
        for text in ["by `poll`,", "poll(2)", "`poll(fds)`"] {
            assert!(poll.is_match(text), "{text}");
        }
        assert!(!poll.is_match("a poll, `epoll`, epoll(7), `poller`"));
        assert!(accept.is_match("`accept`") && accept.is_match("accept4(2)"));
        Ok(())
    }
}
