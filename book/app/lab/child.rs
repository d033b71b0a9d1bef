//! Processes that must not outlive this one: servers that are measured, samples, and the
//! cargo that builds a server.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Those that run now.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A process that ends with this. (Its own children end with it: `sys::fork` asks for that.)
pub(crate) struct Kept(pub(crate) Child);

impl Kept {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Result<Kept> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().with_context(|| {
            format!("cannot start {}", command.get_program().display())
        })?;
        running.push(child.id());
        Ok(Kept(child))
    }

    /// Runs it to its end, wants that to be a good one, and returns what it printed.
    pub(super) fn said(command: &mut Command) -> Result<Vec<u8>> {
        let mut kept =
            Kept::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (mut said, mut complaint) = (Vec::new(), String::new());
        if let Some(mut out) = kept.0.stdout.take() {
            out.read_to_end(&mut said)?;
        }
        if let Some(mut err) = kept.0.stderr.take() {
            err.read_to_string(&mut complaint)?;
        }
        ensure!(kept.0.wait()?.success(), "{}", complaint.trim());
        Ok(said)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|other| *other != self.0.id());
        let _ = self.0.kill(); // or it has ended already
        let _ = self.0.wait();
    }
}

/// A process that is not our child and still must not outlive us.
#[cfg(target_os = "linux")]
pub(super) struct Watched(u32);

#[cfg(target_os = "linux")]
impl Watched {
    /// Of this number.
    pub(super) fn new(pid: u32) -> Watched {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        Watched(pid)
    }

    /// It has ended by itself: its number may be another's by now.
    pub(super) fn ended(self) {
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| *other != self.0);
        std::mem::forget(self);
    }
}

#[cfg(target_os = "linux")]
impl Drop for Watched {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|other| *other != self.0);
        if let Ok(pid) = i32::try_from(self.0) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // or it has ended already
        }
    }
}

/// From now on, if this program is told to end by a signal, they end before it.
pub(super) fn end_on_signals() -> Result<()> {
    ctrlc::set_handler(|| end(130)).context("cannot handle signals")
}

/// Ends them, and then this process.
pub(super) fn end(code: i32) -> ! {
    // Kept to the end: nothing starts any more.
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for child in running.iter().filter_map(|id| i32::try_from(*id).ok()) {
        end_family(Pid::from_raw(child));
        let _ = waitpid(Pid::from_raw(child), None);
    }
    std::process::exit(code)
}

/// Ends a process with all that it has started, as cargo starts compilers. (Where there is no
/// Linux `/proc`, those that it has started end when they are done.)
fn end_family(pid: Pid) {
    let _ = kill(pid, Signal::SIGSTOP); // or it has ended already; else it starts nothing more
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let children = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    for child in children.collect::<String>().split_whitespace() {
        child.parse().map(|child| end_family(Pid::from_raw(child))).unwrap_or_default();
    }
    let _ = kill(pid, Signal::SIGKILL);
}
