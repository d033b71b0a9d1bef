//! Kills the servers under test when the suite is interrupted.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, RwLock};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The process groups of all running servers.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Held for reading while a server is started and its group is added, and for writing by an
/// interrupt.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts a server in a process group of its own, which an interrupt kills.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let child = command.process_group(0).spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).push(group);
    Ok(child)
}

/// Removes a process group, whose server has been reaped, from the groups that an interrupt kills.
pub(crate) fn unregister(group: Pid) {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != group);
}

/// Installs a handler of SIGINT, SIGTERM and SIGHUP that kills all running servers and then ends
/// this process.
///
/// # Errors
///
/// Fails if a handler is already installed.
pub fn on_interrupt() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // This process exits with the lock, so no server is started in the meantime.
        let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.iter() {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        std::process::exit(130);
    })
}
