//! Tests that the starters in other languages pass the first rung of the ladder and fail the
//! second. A rung is a group of cases. A language whose compiler or interpreter is not installed is
//! skipped.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use course::rungs;

const LANGUAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/languages");

fn is_installed(program: &str, version: &str) -> bool {
    Command::new(program)
        .arg(version)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs `course climb`, and returns the text that it prints. `course climb` starts the server with
/// `command`, and judges it by one group of cases (a rung) after another.
fn climb(command: &str) -> anyhow::Result<String> {
    let course = env!("CARGO_BIN_EXE_course");
    let output = Command::new(course).args(["climb", "--cmd", command]).output()?;
    let both = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&both).into_owned())
}

fn reaches_the_first_rung(command: &str) -> anyhow::Result<()> {
    let text = climb(command)?;
    ensure!(text.contains("green   1  One answer"), "{text}");
    ensure!(text.contains("Rung 2 of 12: A head in pieces"), "{text}");
    ensure!(text.contains("partial::head_byte_by_byte"), "{text}");
    Ok(())
}

#[test]
fn rungs_are_cases_of_the_suite() -> anyhow::Result<()> {
    let rungs = rungs::all()?;
    ensure!(rungs.len() == 12);
    for rung in rungs {
        ensure!(!rung.gate()?.is_empty(), "{} is empty", rung.title);
    }
    Ok(())
}

#[test]
fn starters_have_forty_lines() -> anyhow::Result<()> {
    for name in ["hello.c", "hello.go", "hello.py"] {
        let text = std::fs::read_to_string(Path::new(LANGUAGES).join(name))?;
        ensure!(text.lines().count() <= 40, "{name}: {} lines", text.lines().count());
    }
    Ok(())
}

#[test]
fn python() -> anyhow::Result<()> {
    if !is_installed("python3", "--version") {
        return Ok(());
    }
    reaches_the_first_rung(&format!("python3 {LANGUAGES}/hello.py {{port}}"))
}

#[test]
fn c() -> anyhow::Result<()> {
    if !is_installed("cc", "--version") {
        return Ok(());
    }
    let made = tempfile::tempdir()?;
    let program = made.path().join("hello");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    ensure!(cc.arg(format!("{LANGUAGES}/hello.c")).status()?.success());
    reaches_the_first_rung(&format!("{} {{port}}", program.display()))
}

#[test]
fn go() -> anyhow::Result<()> {
    if !is_installed("go", "version") {
        return Ok(());
    }
    let made = tempfile::tempdir()?;
    let program = made.path().join("hello");
    let mut go = Command::new("go");
    go.env("GOCACHE", made.path().join("cache")).args(["build", "-o"]).arg(&program);
    ensure!(go.arg(format!("{LANGUAGES}/hello.go")).status()?.success());
    reaches_the_first_rung(&format!("{} {{port}}", program.display()))
}
