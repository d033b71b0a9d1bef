//! The learner's crate: its files, with the holes of the steps that are still open.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::cutter;
use crate::ladder::{Track, checkout, read};
use crate::step::hours;
use crate::work;

/// The texts of a crate's files, by their paths in the crate.
pub type Files = BTreeMap<String, String>;

/// The name of the file that marks a directory as a learner's crate.
pub const MARK: &str = ".course.toml";

/// The origin of a learner's crate, as the file [`MARK`] in it records it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mark {
    /// The track's name.
    pub track: String,
    /// The commit of the book's repository from which the crate was made. It is only printed for
    /// the learner.
    pub commit: String,
    /// A hash of all files that the course wrote into the crate. Crates from different editions of
    /// the course have different hashes.
    pub edition: String,
}

/// Returns the functions of a file in which steps have holes. Each comes with the body that it has
/// in the learner's crate when all steps before `open` are solved: the unfinished body of the first
/// unsolved step that has a hole in the function, or `None`, which stands for the body in the
/// book's source.
fn bodies<'t>(
    track: &'t Track,
    file: &str,
    open: usize,
) -> BTreeMap<&'t str, Option<String>> {
    let mut bodies = BTreeMap::new();
    for (index, step) in track.steps.iter().enumerate() {
        for hole in step.holes.iter().filter(|hole| hole.file() == file) {
            let body = bodies.entry(hole.address()).or_insert(None);
            if index >= open && body.is_none() {
                *body = Some(step.stub(hole));
            }
        }
    }
    bodies
}

/// Returns the crate's sources while the steps from the index `open` on are open.
///
/// # Errors
///
/// Fails if a source cannot be read, if it lacks a function in which the track has a hole, or if a
/// text that the track replaces does not occur exactly once in it.
pub fn sources(track: &Track, open: usize) -> anyhow::Result<Files> {
    let source = |file: &String| {
        let bodies = bodies(track, file, open);
        let bodies: Vec<_> =
            bodies.into_iter().filter_map(|(at, body)| Some((at, body?))).collect();
        let text = cutter::fill(&track.reference(file)?, &bodies);
        let text = text.map_err(|why| anyhow::anyhow!("{file}: {why}"))?;
        Ok((file.clone(), text))
    };
    let library = (!track.is_workspace()).then(|| Ok(library(track, "")));
    track.files.keys().map(source).chain(library).collect()
}

/// Returns the crate's sources with a switch in every hole: the environment variable
/// `COURSE_OPEN` gives the index of the first step that is open, and `COURSE_MISTAKE`
/// gives the position, in [`Track::mistakes`], of a common mistake that fills a hole.
///
/// # Errors
///
/// Fails if a source cannot be read, if it lacks a function in which the track has a hole, or if a
/// text that the track replaces does not occur exactly once in it.
pub fn switched_sources(track: &Track) -> anyhow::Result<Files> {
    let source = |file: &String| {
        let reference = track.reference(file)?;
        let root = track.root(file);
        let mut switched = Vec::new();
        for address in bodies(track, file, 0).into_keys() {
            let fit = |why| anyhow::anyhow!("{file}: {why}");
            let functions = cutter::find(&reference, address).map_err(fit)?;
            ensure!(functions.len() == 1, "{file}: {address} is there more than once");
            let mut text = String::new();
            for (index, step) in track.steps.iter().enumerate() {
                let place = format!("{file}#{address}");
                let mistakes = track.mistakes().enumerate();
                for (at, (_, mistake)) in
                    mistakes.filter(|(_, (of, m))| *of == index && m.at == place)
                {
                    let test = format!("{root}::course_switch::is_mistaken({at})");
                    text += &format!("if {test} {{\n{}\n}} else ", mistake.body);
                }
                if let Some(hole) = step.holes.iter().find(|h| h.is_at(file, address)) {
                    let stub = step.stub(hole);
                    let test = format!("{root}::course_switch::is_open({index})");
                    text += &format!("if {test} {{\n{stub}\n}} else ");
                }
            }
            text += &reference[functions[0].body.clone()];
            switched.push((address, text));
        }
        let text = cutter::fill(&reference, &switched);
        let text = text.map_err(|why| anyhow::anyhow!("{file}: {why}"))?;
        Ok((file.clone(), text))
    };
    let mut files: Files =
        track.files.keys().map(source).collect::<anyhow::Result<_>>()?;
    if track.is_workspace() {
        let packages: BTreeSet<&str> = track
            .files
            .keys()
            .filter_map(|file| Some(file.split_once("/src/")?.0))
            .collect();
        for package in packages {
            let name = format!("{package}/src/lib.rs");
            let text = read(&checkout().join(&name))?;
            files.insert(name, text + SWITCH);
        }
    } else {
        files.extend([library(track, SWITCH)]);
    }
    Ok(files)
}

const SWITCH: &str = r#"
#[allow(missing_docs)]
pub mod course_switch {
    use std::sync::OnceLock;

    static STATE: OnceLock<[usize; 2]> = OnceLock::new();

    fn state() -> [usize; 2] {
        let number = |name: &str| std::env::var(name).ok()?.parse().ok();
        let number = |name: &str| number(name).unwrap_or(usize::MAX);
        *STATE.get_or_init(|| ["COURSE_OPEN", "COURSE_MISTAKE"].map(number))
    }

    pub fn is_open(step: usize) -> bool {
        step >= state()[0]
    }

    pub fn is_mistaken(mistake: usize) -> bool {
        mistake == state()[1]
    }
}
"#;

/// Returns the path and the text of `src/lib.rs`, which declares the modules of the learner's
/// library and ends with the text `more`.
fn library(track: &Track, more: &str) -> (String, String) {
    let mut text = "//! What the servers in `src/bin` share.\n\n".to_owned();
    for file in track.files.keys() {
        let module = file.strip_prefix("src/").and_then(|file| file.strip_suffix(".rs"));
        match module.filter(|module| !module.contains('/')) {
            Some(module) if track.linux.iter().any(|only| only == file) => {
                text += &format!("#[cfg(target_os = \"linux\")]\npub mod {module};\n");
            }
            Some(module) => text += &format!("pub mod {module};\n"),
            None => {}
        }
    }
    ("src/lib.rs".to_owned(), text + more)
}

/// Returns the text of the `Cargo.toml` of the learner's crate.
pub fn manifest(track: &Track) -> anyhow::Result<String> {
    if track.is_workspace() {
        return workspace_manifest(track);
    }
    let dependencies = &track.dependencies;
    Ok(format!(
        r#"[package]
name = "my-servers"
version = "0.1.0"
edition = "2024"
publish = false

[dependencies]
{}
# A hole leaves imports, arguments and helpers that nothing uses yet.
[lints.rust]
unused = {{ level = "allow", priority = -1 }}
unused_must_use = "warn"

[profile.dev]
opt-level = 1
debug = "line-tables-only"

# A workspace of its own, wherever it lies.
[workspace]
"#,
        dependencies.trim_start()
    ))
}

/// Returns the text of the `Cargo.toml` of a workspace with some of the book's packages. It is the
/// book's own `Cargo.toml` with other members, and without the profiles of packages that are not
/// members.
fn workspace_manifest(track: &Track) -> anyhow::Result<String> {
    let manifest = read(&checkout().join("Cargo.toml"))?;
    let mut text = String::new();
    for line in manifest.lines() {
        match line {
            _ if line.starts_with("members = ") => {
                text += &format!("members = {:?}\n", track.packages);
            }
            _ if line.starts_with("exclude = ") || line.starts_with('#') => {}
            "[profile.release]" => break,
            // While a hole is open, some imports, arguments and helper functions are unused, so
            // the lints against unused code are off.
            "[workspace.lints.rust]" => {
                text += line;
                text += "\nunused = { level = \"allow\", priority = -1 }\n";
            }
            _ => text += &format!("{line}\n"),
        }
    }
    Ok(text
        + r#"[profile.dev]
opt-level = 1
debug = "line-tables-only"

[profile.dev.package]
"*" = { opt-level = 0, debug = false }
client-suite.opt-level = 0
"#)
}

/// Returns the text files of the track's packages and directories. Rust sources lose the comments
/// that mark listings for the book.
fn copies(track: &Track) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let paths = track.packages.iter().chain(&track.directories);
    let mut paths: Vec<_> = paths.map(PathBuf::from).collect();
    let is_package = |path: &Path| checkout().join(path).join("Cargo.toml").exists();
    while let Some(path) = paths.pop() {
        for entry in fs::read_dir(checkout().join(&path))? {
            let entry = entry?;
            let inside = path.join(entry.file_name());
            let name = inside.display().to_string();
            if entry.file_type()?.is_dir() {
                // A package inside another package is copied only if the track lists it, too.
                paths.extend((!is_package(&inside)).then_some(inside));
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                let rust = name.ends_with(".rs");
                files
                    .insert(name, if rust { cutter::strip_anchors(&text) } else { text });
            }
        }
    }
    Ok(files)
}

/// Returns all files that the command `new` writes into a learner's crate, except the lock file.
///
/// # Errors
///
/// Fails if a source cannot be read, if it lacks a function in which the track has a hole, or if a
/// text that the track replaces does not occur exactly once in it.
pub fn files(track: &Track) -> anyhow::Result<Files> {
    let mut files = copies(track)?;
    files.extend(sources(track, 0)?);
    let manifest_path = checkout().join("Cargo.toml");
    let alias = format!(
        "[alias]\nstep = [\"run\", \"--quiet\", \"--manifest-path\", {:?}, \"--package\", \"course\", \"--\", \"step\"]\n\n\
         # A panic is told in three lines.\n[env]\nRUST_BACKTRACE = {{ value = \"0\", force = true }}\n",
        manifest_path.display().to_string()
    );
    let minutes = track.minutes_from(0);
    let readme = match track.is_workspace() {
        true => include_str!("readme-finished.md"),
        false => include_str!("readme.md"),
    };
    let readme = readme
        .replace("{track}", &track.name)
        .replace("{steps}", &track.steps.len().to_string())
        .replace("{hours}", &hours(minutes));
    files.extend([
        ("Cargo.toml".to_owned(), manifest(track)?),
        (".cargo/config.toml".to_owned(), alias),
        (".gitignore".to_owned(), "/target\n".to_owned()),
        ("README.md".to_owned(), readme),
        ("rustfmt.toml".to_owned(), read(&checkout().join("rustfmt.toml"))?),
    ]);
    let Mark { track, commit, edition } = mark(track, &files);
    let text =
        format!("track = \"{track}\"\ncommit = \"{commit}\"\nedition = \"{edition}\"\n");
    files.insert(MARK.to_owned(), text);
    Ok(files)
}

/// Returns the content of the file [`MARK`] for a crate that consists of `files`.
fn mark(track: &Track, files: &Files) -> Mark {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let commit = work::output(Command::new("git").current_dir(checkout()).args([
        "rev-parse",
        "--short",
        "HEAD",
    ]));
    let commit = commit.unwrap_or_else(|_| "unknown".to_owned());
    let edition = format!("{:016x}", hasher.finish());
    Mark { track: track.name.clone(), commit, edition }
}

/// Writes files into a directory, and creates the directories that their paths need.
///
/// # Errors
///
/// Fails if a directory cannot be created, or a file cannot be written.
pub fn write(directory: &Path, files: &Files) -> anyhow::Result<()> {
    for (name, text) in files {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        // A file that already has this text is not written: it keeps its modification time, so that
        // Cargo does not build it again.
        if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Writes the file `Cargo.lock` of a learner's crate, with the versions from the book's own lock
/// file.
///
/// # Errors
///
/// Fails if Cargo has not fetched one of the libraries yet, because this function works offline.
pub fn lock(directory: &Path) -> anyhow::Result<()> {
    let lock = read(&checkout().join("Cargo.lock"))?;
    fs::write(directory.join("Cargo.lock"), lock)?;
    // `cargo tree` removes from the lock file the packages that this crate does not use. Unlike
    // `cargo metadata`, it needs no library that only other systems have.
    let mut tree = Command::new(work::cargo());
    tree.current_dir(directory).args(["tree", "--offline", "--depth=0"]);
    work::output(&mut tree).context("cargo cannot resolve the libraries").map(drop)
}

/// Formats the sources in a directory, if rustfmt is installed. Module paths in a learner's files
/// differ from the book's, so rustfmt sorts the `use` lines differently.
pub fn format(directory: &Path) {
    let _ = work::output(Command::new(work::cargo()).current_dir(directory).arg("fmt"));
}

/// Makes a learner's crate in a new directory.
///
/// # Errors
///
/// Fails if the directory exists, or cannot be created.
pub fn create(directory: &Path, track: &Track) -> anyhow::Result<()> {
    if directory.symlink_metadata().is_ok() {
        bail!("{} exists already: choose another directory", directory.display());
    }
    let directory = env::current_dir()?.join(directory);
    let parent = directory.parent().context("the directory has no name")?;
    ensure!(parent.is_dir(), "{} is no directory", parent.display());
    // The crate is made in a temporary directory beside its place, and moved there when it is
    // complete, so that a failure leaves nothing behind.
    let made = tempfile::Builder::new().prefix(".course-").tempdir_in(parent)?;
    write(made.path(), &files(track)?)?;
    lock(made.path())?;
    if !track.is_workspace() {
        format(made.path());
    }
    if let Err(error) = work::first_commit(made.path()) {
        eprintln!("course: no git history, so `reset` cannot keep your work: {error:#}");
    }
    let made = made.keep();
    fs::rename(&made, &directory).with_context(|| directory.display().to_string())?;
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
