//! Kills the servers under test when the suite is interrupted.

use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The process groups of all running servers.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Adds a server's process group to the groups that an interrupt kills.
pub(crate) fn register(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(group);
}

/// Removes a process group, whose server has been reaped, from the groups that an interrupt kills.
pub(crate) fn unregister(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
}

/// Installs a handler of SIGINT that kills all running servers and then ends this process.
///
/// # Errors
///
/// Fails if a handler is already installed.
pub fn on_interrupt() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.iter() {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        // The lock on the groups is still held, so no server can be started before this process
        // exits.
        std::process::exit(130);
    })
}
