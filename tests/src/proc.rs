//! Facts that Linux reports about a process: descriptors, threads, children, memory. On other
//! systems every function returns `None`, and a case that needs the fact is skipped.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;

use crate::verdict::Abort;

/// Returns the reason to end a case when a fact about the server's process is not reported: a skip
/// on a system without `/proc`, otherwise a failure, because the process has ended.
pub(crate) fn unreported() -> Abort {
    if Path::new("/proc/self/stat").exists() {
        return Abort::fail("a running server", "its process has ended");
    }
    Abort::skip("no /proc on this system")
}

/// Returns the number of open descriptors of a process, or `None` if `/proc` does not report it.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Returns the number of threads of a process, or `None` if `/proc` does not report it.
pub fn threads(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}

/// A child process that its parent has not reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// The child's process ID.
    pub pid: u32,
    /// Whether the child has exited and has not been reaped.
    pub zombie: bool,
}

/// Returns the children of a process, zombies included, or `None` on a system without `/proc`.
pub fn children(pid: u32) -> Option<Vec<Child>> {
    let children = all()?.filter(|(_, stat)| stat.parent == pid);
    Some(children.map(|(pid, stat)| Child { pid, zombie: stat.state == 'Z' }).collect())
}

/// The columns of the file `stat` of a process or thread that the suite needs (proc(5)).
#[derive(Debug, Clone, Copy)]
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    /// The processor time that the process and its reaped children have used so far, in hundredths of
    /// a second.
    used: u64,
}

fn number(column: &str) -> u64 {
    column.parse().unwrap_or_default()
}

/// Reads a `/proc/PID/stat` file with a single read(2), because the suite often reads these files
/// for all processes. Returns `None` if the file does not exist or cannot be parsed.
fn stat(file: &Path) -> Option<Stat> {
    // 256 bytes hold every column up to the last one that is parsed: a process's name has at most
    // 64 bytes.
    let mut bytes = [0; 256];
    let length = File::open(file).ok()?.read(&mut bytes).ok()?;
    let bytes = &bytes[..length];
    // The process's name may contain spaces and parentheses: the columns begin after the last
    // parenthesis.
    let name = bytes.iter().rposition(|&byte| byte == b')')?;
    let columns = String::from_utf8_lossy(&bytes[name + 1..]);
    let mut columns = columns.split_ascii_whitespace();
    let state = columns.next()?.chars().next()?;
    let parent = columns.next()?.parse().ok()?;
    let group = columns.next()?.parse().ok()?;
    // The process's own time in user mode and in the kernel, and the same two times of its reaped
    // children.
    let used = columns.skip(8).take(4).map(number).sum();
    Some(Stat { state, parent, group, used })
}

fn stat_of(pid: u32) -> Option<Stat> {
    stat(Path::new(&format!("/proc/{pid}/stat")))
}

/// Returns the ID of each process of this machine with the columns of its `stat` file, or `None` on
/// a system without `/proc`.
fn all() -> Option<impl Iterator<Item = (u32, Stat)>> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process that has exited since the directory was read is left out.
    Some(pids.filter_map(|pid| Some((pid, stat_of(pid)?))))
}

/// Returns whether every thread of a process is stopped (SIGSTOP), or `None` if `/proc` does not
/// report the process. On a busy machine the main thread can be stopped while another thread still
/// takes an event from the kernel.
pub fn stopped(pid: u32) -> Option<bool> {
    Some(thread_stats(pid)?.all(|stat| stat.state == 'T'))
}

/// A process and the children that it had at one moment. Finding the children means reading a file
/// of every process on the machine, so a case that takes many samples finds the children once.
#[derive(Debug)]
pub struct Family(Vec<u32>);

impl Family {
    /// Returns the process `pid` with its present children, or `None` on a system without `/proc`.
    pub fn of(pid: u32) -> Option<Self> {
        let children = children(pid)?.into_iter().map(|child| child.pid);
        Some(Self(std::iter::once(pid).chain(children).collect()))
    }

    /// Returns the processor time that the family's processes have used so far, including children
    /// that they have reaped.
    pub fn processor_time(&self) -> Duration {
        let used = self.0.iter().filter_map(|&pid| stat_of(pid)).map(|stat| stat.used);
        Duration::from_millis(10 * used.sum::<u64>())
    }

    /// Returns whether any thread of the family's processes is runnable. A thread that spins is
    /// always runnable, however busy the machine is; a thread that waits never is.
    pub fn is_running(&self) -> bool {
        self.0.iter().filter_map(|&pid| any_thread_runs(pid)).any(|runs| runs)
    }
}

fn any_thread_runs(pid: u32) -> Option<bool> {
    Some(thread_stats(pid)?.any(|stat| stat.state == 'R'))
}

/// Returns the columns of the `stat` file of each thread of a process, or `None` if `/proc` does not
/// report the process. A thread that has ended meanwhile is left out.
fn thread_stats(pid: u32) -> Option<impl Iterator<Item = Stat>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    Some(tasks.filter_map(|task| stat(&task.path().join("stat"))))
}

/// Returns the resident anonymous memory of a process and its children in KiB, or `None` if `/proc`
/// does not report it.
pub fn memory(pid: u32) -> Option<u64> {
    let own = resident(pid)?;
    Some(own + children(pid)?.iter().filter_map(|child| resident(child.pid)).sum::<u64>())
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns the number of processes in a process group, without zombies, or `None` on a system
/// without `/proc`.
pub fn group(leader: u32) -> Option<usize> {
    // Most groups are empty when a case asks about them, and killpg(2) reports that without a
    // search through all processes.
    if killpg(Pid::from_raw(leader.cast_signed()), None) == Err(Errno::ESRCH) {
        return Some(0);
    }
    Some(all()?.filter(|(_, stat)| stat.group == leader && stat.state != 'Z').count())
}
