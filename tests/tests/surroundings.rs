//! A server that the suite starts inherits nothing that depends on who started
//! the suite: here one that is no server, and only tells what it finds.
#![cfg(target_os = "linux")] // What it tells is read from /proc.

use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};

/// Prints open descriptors, ignored and blocked signals, umask, descriptor limit. The
/// signals are grep's own, as inherited: a shell blocks some while it starts another.
const TELLS: &str = r#"#!/bin/sh
{
    ls "/proc/$$/fd"
    grep -E 'SigIgn|SigBlk' /proc/self/status
    umask
    ulimit -S -n
} >"$1"
"#;

/// Judges it from a shell in which `before` has been done first; gives what it told.
fn told(before: &str) -> Result<String, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (script, facts) =
        (directory.path().join("tells"), directory.path().join("facts"));
    fs::write(&script, TELLS)?;
    let server = format!("sh {} {} {{port}}", script.display(), facts.display());
    let check = Command::new("/bin/sh")
        .args(["-c", &format!("{before}\nexec \"$0\" check --cmd \"$1\"")])
        .args([env!("CARGO_BIN_EXE_client-suite"), &server])
        .stdin(Stdio::null())
        .output()?;
    let complaint = String::from_utf8_lossy(&check.stderr).into_owned();
    fs::read_to_string(facts).map_err(|error| format!("{error}: {complaint}").into())
}

#[test]
fn nothing_is_inherited() -> Result<(), Box<dyn Error>> {
    let plain = told("")?;
    let otherwise = told(
        "exec 3</dev/null 4</dev/null 7>/dev/null 9</dev/null <&-
        trap '' HUP INT QUIT TERM ALRM CHLD USR1 USR2 PIPE
        umask 077
        ulimit -S -n 64",
    )?;
    assert_eq!(plain, otherwise);
    // The shell that tells has a few of its own, from 10 on.
    let inherited = plain.lines().find(|line| matches!(line.parse(), Ok(3..10)));
    assert_eq!(inherited, None, "{plain}");
    let ignored = plain.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap_or_default(), 16)?;
    // Beyond the 31 with names are those that the C library keeps for itself.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{plain}");
    assert!(plain.contains("\n0022\n"), "{plain}");
    Ok(())
}

#[test]
fn too_few_descriptors_are_told() -> Result<(), Box<dyn Error>> {
    let check = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 256; exec \"$0\" check --cmd 'true {port}'"])
        .arg(env!("CARGO_BIN_EXE_client-suite"))
        .output()?;
    let said = String::from_utf8(check.stderr)?;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("ulimit -Hn"), "{said}");
    assert_eq!(check.status.code(), Some(2));
    Ok(())
}
