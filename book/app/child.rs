//! Child processes that must not outlive this program: servers under measurement, processes that
//! take one sample of a measurement, and the `cargo` process that builds a server.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// The process IDs of all guarded processes that are running.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process that is killed and reaped when the guard is dropped. (A server's own child
/// processes end with the server: `sys::fork` in chapter 1 makes the kernel send them a signal.)
pub(crate) struct ChildGuard(pub(crate) Child);

impl ChildGuard {
    /// Starts the command and guards its process.
    pub(crate) fn spawn(command: &mut Command) -> Result<ChildGuard> {
        let mut running = running();
        let child = command.spawn().with_context(|| {
            format!("cannot start {}", command.get_program().display())
        })?;
        running.push(child.id());
        Ok(ChildGuard(child))
    }

    /// Runs the command to its end and returns its standard output.
    ///
    /// # Errors
    ///
    /// The command cannot be started, or its exit status is not 0. In the second case the error is
    /// the text that the command wrote to standard error.
    pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
        let mut guard =
            ChildGuard::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (mut printed, mut complaint) = (Vec::new(), String::new());
        if let Some(mut out) = guard.0.stdout.take() {
            out.read_to_end(&mut printed)?;
        }
        if let Some(mut err) = guard.0.stderr.take() {
            err.read_to_string(&mut complaint)?;
        }
        ensure!(guard.0.wait()?.success(), "{}", complaint.trim());
        Ok(printed)
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        running().retain(|other| *other != self.0.id());
        let _ = self.0.kill(); // has no effect if the process has ended already
        let _ = self.0.wait();
    }
}

/// A guard of a process that is not a child of the current process. Dropping the guard kills the
/// guarded process.
#[cfg(target_os = "linux")]
pub(crate) struct ProcessGuard(u32);

#[cfg(target_os = "linux")]
impl ProcessGuard {
    pub(crate) fn new(pid: u32) -> ProcessGuard {
        running().push(pid);
        ProcessGuard(pid)
    }

    /// Drops the guard of a process that has ended by itself. Sends no signal, because another
    /// process may have the same ID by now.
    pub(crate) fn ended(self) {
        running().retain(|other| *other != self.0);
        std::mem::forget(self);
    }
}

#[cfg(target_os = "linux")]
impl Drop for ProcessGuard {
    fn drop(&mut self) {
        running().retain(|other| *other != self.0);
        if let Ok(pid) = i32::try_from(self.0) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL); // fails if it has ended
        }
    }
}

/// Installs a handler for SIGINT, SIGTERM and SIGHUP, which kills all guarded processes and then
/// ends the current process.
pub(crate) fn end_on_signals() -> Result<()> {
    ctrlc::set_handler(|| end(130)).context("cannot handle signals")
}

/// Kills all guarded processes with their descendants, then exits with status `code`.
pub(crate) fn end(code: i32) -> ! {
    // The lock on `RUNNING` is held until the exit, so that no other thread starts a child that
    // would go on running.
    let running = running();
    for child in running.iter().filter_map(|id| i32::try_from(*id).ok()) {
        end_with_descendants(Pid::from_raw(child));
        let _ = waitpid(Pid::from_raw(child), None);
    }
    std::process::exit(code)
}

/// Kills a process and its descendants, such as the compilers that cargo has started.
/// (Without Linux's `/proc`, the descendants run until they finish.)
fn end_with_descendants(pid: Pid) {
    let _ = kill(pid, Signal::SIGSTOP);
    wait_until_stopped(pid); // a stopped process starts no child
    let children = threads(pid)
        .filter_map(|thread| fs::read_to_string(thread.join("children")).ok());
    for child in children.collect::<String>().split_whitespace() {
        child
            .parse()
            .map(|child| end_with_descendants(Pid::from_raw(child)))
            .unwrap_or_default();
    }
    let _ = kill(pid, Signal::SIGKILL);
}

/// Waits until every thread of the process has stopped or ended, for a second at most. `kill` only
/// sends the signal: a thread may still be starting a child, which it then finishes.
fn wait_until_stopped(pid: Pid) {
    // The state is the first field behind the name, which ends with a parenthesis (proc_pid_stat(5)).
    let runs = |thread: PathBuf| {
        let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 't', 'Z']))
    };
    let deadline = Instant::now() + Duration::from_secs(1);
    while threads(pid).any(runs) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the directories of a process's threads in `/proc`.
fn threads(pid: Pid) -> impl Iterator<Item = PathBuf> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads.flatten().map(|thread| thread.path())
}
