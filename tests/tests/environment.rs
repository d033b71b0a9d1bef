//! Tests that a server started by the suite gets the same process environment, whatever the suite
//! was started from. The "server" of these tests is a script that records its environment.
#![cfg(target_os = "linux")] // The script reads /proc.

use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};

/// A script that records open descriptors, ignored and blocked signals, the umask, and the
/// descriptor limit. The signals are read from grep (`/proc/self`), which inherits them from the
/// shell, and not from the shell itself (`/proc/$$`), which may block more signals for the moment
/// in which it starts grep.
const SCRIPT: &str = r#"#!/bin/sh
{
    ls "/proc/$$/fd"
    grep -E 'SigIgn|SigBlk' /proc/self/status
    umask
    ulimit -S -n
} >"$1"
"#;

/// Runs the suite from a shell after the commands `before`. Returns the script's output.
fn recorded_environment(before: &str) -> Result<String, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (script, facts) =
        (directory.path().join("script"), directory.path().join("facts"));
    fs::write(&script, SCRIPT)?;
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
    let plain = recorded_environment("")?;
    let otherwise = recorded_environment(
        "exec 3</dev/null 4</dev/null 7>/dev/null 9</dev/null <&-
        trap '' HUP INT QUIT TERM ALRM CHLD USR1 USR2 PIPE
        umask 077
        ulimit -S -n 64",
    )?;
    assert_eq!(plain, otherwise);
    // Only descriptors 3 to 9 are checked: the shell that runs the script may open descriptors from
    // 10 on.
    let inherited = plain.lines().find(|line| matches!(line.parse(), Ok(3..10)));
    assert_eq!(inherited, None, "{plain}");
    let ignored = plain.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap_or_default(), 16)?;
    // Only signals up to 31 are checked: the C library reserves some of the real-time signals
    // above.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{plain}");
    assert!(plain.contains("\n0022\n"), "{plain}");
    Ok(())
}

#[test]
fn too_few_descriptors_are_reported() -> Result<(), Box<dyn Error>> {
    let check = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 256; exec \"$0\" check --cmd 'true {port}'"])
        .arg(env!("CARGO_BIN_EXE_client-suite"))
        .output()?;
    let stderr = String::from_utf8(check.stderr)?;
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("ulimit -Hn"), "{stderr}");
    assert_eq!(check.status.code(), Some(2));
    Ok(())
}
