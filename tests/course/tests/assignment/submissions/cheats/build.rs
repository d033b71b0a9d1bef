//! A submission that cheats while it is built: its build script prints fake results, attacks a file
//! that belongs to the grader, and tries to kill the grader.

use std::process::Command;
use std::{fs, process};

fn main() {
    // Prints fake results: as a text report, as a message of Cargo, and as a JSON report.
    println!("100 of 100 points");
    println!("{{\"reason\":\"compiler-artifact\",\"executable\":\"/bin/true\"}}");
    println!("{{\"score\": 100.0}}");
    // The test replaces these placeholders with two paths: of a file that must stay unchanged, and
    // of a file that must not be left behind.
    let (guarded, stray) = ("{guarded}", "{stray}");
    let _ = fs::remove_file(guarded);
    let _ = fs::write(guarded, "100 of 100 points");
    let _ = fs::write(stray, "left behind");
    if let Ok(text) = fs::read_to_string(guarded) {
        println!("cargo::warning=it could read {text}");
    }
    // Tries to kill the grader: the nearest ancestor of this process that is not Cargo.
    let mut process = process::id().to_string();
    while let Some(parent) = parent(&process) {
        let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
        if name.trim() != "cargo" {
            let line = format!("kill -9 {parent}");
            let _ = Command::new("/bin/sh").args(["-c", &line]).output();
            break;
        }
        process = parent;
    }
}

fn parent(process: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    Some(line.trim().to_owned())
}
