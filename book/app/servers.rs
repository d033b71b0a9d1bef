//! Finds the programs that the lab and the transcripts start, most of them servers, and builds the
//! programs that are missing or out of date.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::child::ChildGuard;
use crate::paths::Paths;

/// Returns the path of the program called `name`, in the same directory as this program. If the
/// program is missing or older than one of its sources, cargo builds it first.
pub fn find(paths: &Paths, name: &str) -> Result<PathBuf> {
    let profile = profile_dir()?;
    let program = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !is_fresh(&program) {
        build(paths, name, &profile)?;
        let there = program.is_file();
        ensure!(there, "cargo built {name}, but not as {}", program.display());
    }
    Ok(program)
}

/// Returns target/PROFILE, the directory of the running program. (A test's program is in the
/// subdirectory deps/.)
fn profile_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot determine this program's path")?;
    let dir = own.parent().context("this program's path names no directory")?;
    let dir = match dir.file_name() {
        Some(name) if name == "deps" => dir.parent().unwrap_or(dir),
        _ => dir,
    };
    Ok(dir.to_owned())
}

/// Returns whether the program is newer than all its sources, which cargo lists in a `.d` file
/// beside the program.
fn is_fresh(program: &Path) -> bool {
    let modified =
        |path: &Path| -> Option<SystemTime> { fs::metadata(path).ok()?.modified().ok() };
    let rule = fs::read_to_string(program.with_extension("d"));
    let (Some(built), Ok(rule)) = (modified(program), rule) else { return false };
    sources(&rule).iter().all(|source| modified(source).is_some_and(|at| at <= built))
}

/// Returns the sources in a make rule such as `target: a b\ c`.
fn sources(rule: &str) -> Vec<PathBuf> {
    let list = rule.split_once(": ").map_or("", |(_, list)| list.trim_end());
    let list = list.replace("\\ ", "\0");
    list.split(' ')
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .collect()
}

fn build(paths: &Paths, name: &str, profile: &Path) -> Result<()> {
    let target = profile.parent().context("this program is in no target directory")?;
    let profile = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    eprintln!("building {name}, which takes some seconds the first time");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The cargo command has no `-p`: for the whole workspace, cargo chooses the same features as
    // `cargo test`, and so uses the libraries that were built for the tests.
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--bin", name, "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(paths.checkout())
        .stdin(Stdio::null())
        // The standard output of `lab --events` carries only events, so cargo must not write to it.
        .stdout(Stdio::null());
    let mut cargo = ChildGuard::spawn(&mut command)
        .with_context(|| format!("cargo is needed to build {name}"))?;
    ensure!(cargo.0.wait()?.success(), "cargo could not build {name}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_a_rule_may_have_spaces() {
        let found = sources("/t/debug/thread: /a/b.rs /my\\ code/c.rs\n");
        assert_eq!(found, [PathBuf::from("/a/b.rs"), PathBuf::from("/my code/c.rs")]);
    }
}
