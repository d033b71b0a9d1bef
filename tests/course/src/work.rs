//! The learner's work: building it, and keeping its history with git.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::gate::target_options;
use crate::starter::{self, Files};

/// The name of the git branch that holds the starter as the course wrote it.
const STARTER: &str = "starter";

/// Returns the program to run as Cargo: the value of the environment variable `CARGO` or, if that
/// is not set, `cargo`.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs a command, and returns its standard output without the last newline.
///
/// # Errors
///
/// Fails if the command cannot be started, or if it exits with an error; in that case the error
/// contains its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(program.clone())?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Builds programs of the learner's crate, and returns their paths by name. Cargo itself prints
/// compile errors.
///
/// # Errors
///
/// Fails if the crate does not compile.
pub fn build(
    directory: &Path,
    programs: &[&str],
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut arguments = vec!["build"];
    arguments.extend(programs.iter().flat_map(|program| ["--bin", program]));
    executables(directory, &arguments, false)
}

/// Builds test programs of the workspace, each given as [`Test::program`](crate::gate::Test), and
/// returns their paths by name. Cargo itself prints compile errors.
///
/// # Errors
///
/// Fails if a package does not compile, or has no such test target.
pub fn build_tests(
    directory: &Path,
    programs: &BTreeSet<&str>,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for program in programs {
        let (package, target) = program.split_once('/').unwrap_or((program, "lib"));
        targets.entry(package).or_default().push(target);
    }
    let mut built = BTreeMap::new();
    for (package, targets) in targets {
        let mut arguments = vec!["test", "--no-run", "--package", package];
        arguments.extend(targets.iter().flat_map(|target| target_options(target)));
        let library = package.replace('-', "_");
        for (name, path) in executables(directory, &arguments, true)? {
            let is_it = |target: &&&str| match **target {
                "lib" => name == library,
                target => target.strip_prefix("bin/").unwrap_or(target) == name,
            };
            let target = targets.iter().find(is_it).copied().unwrap_or(&name);
            built.insert(format!("{package}/{target}"), path);
        }
    }
    Ok(built)
}

/// Builds with Cargo. Returns the paths of the built executables, by the names of their targets:
/// only the test programs if `test` is `true`, and only the other programs if it is `false`.
fn executables(
    directory: &Path,
    arguments: &[&str],
    test: bool,
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new(cargo());
    command.current_dir(directory).args(arguments).args(["--quiet", "--offline"]);
    command.arg("--message-format=json-render-diagnostics");
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("it does not compile");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let executable = |message: Value| {
        let path = PathBuf::from(message["executable"].as_str()?);
        let is_meant = message["profile"]["test"].as_bool() == Some(test);
        is_meant.then(|| Some((message["target"]["name"].as_str()?.to_owned(), path)))?
    };
    Ok(messages.filter_map(executable).collect())
}

/// Returns a git command for a directory, independent of the user's settings.
fn git(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(directory);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(name);
    }
    for setting in [
        "user.name=course",
        "user.email=course@localhost",
        "commit.gpgsign=false",
        "core.hooksPath=/dev/null",
        "core.excludesFile=/dev/null",
        "core.autocrlf=false",
        "init.defaultBranch=main",
    ] {
        git.args(["-c", setting]);
    }
    git
}

/// Makes a directory a git repository, with all its files in the first commit.
///
/// # Errors
///
/// Fails if git is not installed.
pub fn first_commit(directory: &Path) -> anyhow::Result<()> {
    output(git(directory).args(["init", "--quiet", "--template="]))?;
    output(git(directory).args(["add", "--all"]))?;
    output(git(directory).args(["commit", "--quiet", "--message=The starter"]))?;
    output(git(directory).args(["branch", STARTER])).map(drop)
}

/// Commits the present content of a directory, with the parent commit `parent`. Changes neither the
/// directory nor the index nor any branch. Returns the commit's hash.
fn snapshot(directory: &Path, parent: &str, message: &str) -> anyhow::Result<String> {
    let index = tempfile::tempdir()?;
    let index = index.path().join("index");
    output(git(directory).env("GIT_INDEX_FILE", &index).args(["add", "--all"]))?;
    let tree = output(git(directory).env("GIT_INDEX_FILE", &index).arg("write-tree"))?;
    output(git(directory).args(["commit-tree", &tree, "-p", parent, "-m", message]))
}

/// Commits the present content of a directory to a new branch. Returns the branch's name, which
/// contains `name` and a number.
///
/// # Errors
///
/// Fails if git is not installed, or if the directory is no repository.
pub fn keep(directory: &Path, name: &str) -> anyhow::Result<String> {
    let commit = snapshot(directory, "HEAD", &format!("Before {name}"))?;
    let names = (1..).map(|n| format!("before-{name}-{n}"));
    for branch in names.take(1000) {
        let new = git(directory).args(["branch", &branch, &commit]).output()?;
        if new.status.success() {
            return Ok(branch);
        }
    }
    bail!("a thousand branches before-{name}-… exist")
}

/// Merges a new starter into the learner's work. Returns the name of the branch that keeps the work
/// as it was before the merge. Files with [conflicts] may be left. With `format`, the new starter
/// is formatted before the merge.
///
/// # Errors
///
/// Fails if git is not installed, if there is no branch `starter`, or if git cannot merge.
pub fn merge_starter(
    directory: &Path,
    files: &Files,
    format: bool,
) -> anyhow::Result<String> {
    let kept = keep(directory, "update")?;
    output(git(directory).args(["add", "--all"]))?;
    let message = "--message=Work before an update";
    output(git(directory).args(["commit", "--quiet", "--allow-empty", message]))?;
    let made = tempfile::tempdir()?;
    let worktree = made.path().join("starter");
    let path = worktree.display().to_string();
    output(git(directory).args(["worktree", "add", "--quiet", &path, STARTER]))?;
    let merged = (|| {
        for old in output(git(&worktree).args(["ls-files"]))?.lines() {
            if !files.contains_key(old) && old != "Cargo.lock" {
                fs::remove_file(worktree.join(old))?;
            }
        }
        starter::write(&worktree, files)?;
        starter::lock(&worktree)?;
        if format {
            starter::format(&worktree);
        }
        output(git(&worktree).args(["add", "--all"]))?;
        let message = "--message=A new starter";
        output(git(&worktree).args(["commit", "--quiet", "--allow-empty", message]))?;
        let merge = output(git(directory).args(["merge", "--no-edit", STARTER]));
        // A merge that stops because of conflicts is not a failure.
        merge.map(drop).or_else(|error| match is_merging(directory) {
            true => Ok(()),
            false => Err(error),
        })
    })();
    output(git(directory).args(["worktree", "remove", "--force", &path]))?;
    merged.map(|()| kept)
}

/// Returns whether a merge has begun in the directory and is not committed.
pub fn is_merging(directory: &Path) -> bool {
    let head =
        git(directory).args(["rev-parse", "--quiet", "--verify", "MERGE_HEAD"]).output();
    head.is_ok_and(|head| head.status.success())
}

/// Returns the files in which both sides of a merge have changed the same lines and which still
/// contain git's conflict markers.
///
/// # Errors
///
/// Fails if git is not installed.
pub fn conflicts(directory: &Path) -> anyhow::Result<Vec<String>> {
    let unmerged = ["diff", "--name-only", "--diff-filter=U", "--relative"];
    let names = output(git(directory).args(unmerged))?;
    let has_marker = |name: &&str| {
        let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
        text.lines()
            .any(|line| line.starts_with("<<<<<<<") || line.starts_with(">>>>>>>"))
    };
    Ok(names.lines().filter(has_marker).map(str::to_owned).collect())
}

/// Commits a merge, with the files as they are.
///
/// # Errors
///
/// Fails if git is not installed.
pub fn finish_merge(directory: &Path) -> anyhow::Result<()> {
    output(git(directory).args(["add", "--all"]))?;
    output(git(directory).args(["commit", "--quiet", "--no-edit"])).map(drop)
}

/// Returns the difference between the learner's text `yours` and the book's text `reference` of a
/// file, in git's format.
///
/// # Errors
///
/// Fails if git is not installed.
pub fn difference(file: &str, yours: &str, reference: &str) -> anyhow::Result<String> {
    let made = tempfile::tempdir()?;
    let name = Path::new(file).file_name().context("no file")?;
    for (side, text) in [("yours", yours), ("reference", reference)] {
        fs::create_dir(made.path().join(side))?;
        fs::write(made.path().join(side).join(name), format!("{text}\n"))?;
    }
    let name = name.to_string_lossy();
    let (yours, reference) = (format!("yours/{name}"), format!("reference/{name}"));
    let mut diff = git(made.path());
    diff.args(["diff", "--no-index", "--no-prefix", "--unified=100", "--color=never"]);
    let diff = diff.args(["--", &yours, &reference]).output()?; // exits with 1 if the texts differ
    let text = String::from_utf8_lossy(&diff.stdout);
    Ok(text.lines().skip_while(|line| !line.starts_with("---")).fold(
        String::new(),
        |text, line| match line.starts_with("@@") {
            true => text,
            false => text + line + "\n",
        },
    ))
}
