//! No server outlives the suite: not even when the suite itself is interrupted.

use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The process groups of the servers that run now.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Remembers a server's process group.
pub(crate) fn started(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(group);
}

/// Forgets it, once it has been ended.
pub(crate) fn ended(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
}

/// From now on an interrupted suite ends its servers before it ends.
pub fn on_interrupt() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.iter() {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        // The lock is kept: no server starts between this and the end.
        std::process::exit(130);
    })
}
