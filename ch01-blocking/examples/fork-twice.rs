//! fork(2) returns twice, and an exited child stays a zombie until its parent reaps it.
#![allow(unsafe_code)]

use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use std::io;
use std::process::{self, Command};

// ANCHOR: fork
fn main() -> io::Result<()> {
    let mut number = 1;
    // SAFETY: this process has one thread, so fork(2) does not restrict the child.
    match unsafe { fork() }? {
        ForkResult::Child => {
            number += 1;
            println!("child:  number is {number}");
            process::exit(7);
        }
        ForkResult::Parent { child } => {
            while state(child)? != "Z" {} // until the child has exited
            println!("parent: number is {number}");
            println!("parent: the child's state is {}", state(child)?);
            println!("parent: waitpid returns {:?}", waitpid(child, None)?);
            println!("parent: the child's state is {:?}", state(child)?);
        }
    }
    Ok(())
}
// ANCHOR_END: fork

/// Returns the first letter of the state that ps(1) reports for `process` (`Z` for a
/// zombie), or an empty string if there is no such process.
fn state(process: Pid) -> io::Result<String> {
    let process = process.to_string();
    let output = Command::new("ps").args(["-o", "stat=", "-p", &process]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().chars().take(1).collect())
}
