//! Facts that Linux reports about a process: descriptors, threads, children, memory. On other
//! systems every function returns `None`, and a case that needs the fact is skipped.

use std::fs;
use std::path::Path;

use crate::verdict::Abort;

/// Returns the end of a case that needs a fact about the server's process and does not get it: a skip
/// on a system that reports none, and otherwise a failure, because the process has ended.
pub(crate) fn unreported() -> Abort {
    if Path::new("/proc/self/stat").exists() {
        return Abort::fail("a running server", "its process has ended");
    }
    Abort::skip("no /proc on this system")
}

/// Returns the number of open descriptors of a process.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Returns the number of threads of a process.
pub fn threads(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}

/// A child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// The child's process ID.
    pub pid: u32,
    /// Whether the child has exited and has not been reaped.
    pub zombie: bool,
}

/// Returns the children of a process, zombies included.
pub fn children(pid: u32) -> Option<Vec<Child>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // The process may have exited since the directory was read.
        let Some((state, parent)) = state_and_parent(child) else { continue };
        if parent == pid {
            found.push(Child { pid: child, zombie: state == 'Z' });
        }
    }
    Some(found)
}

fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // In /proc/PID/stat the process's name, in parentheses, may itself contain spaces and
    // parentheses: the other columns begin after the last parenthesis.
    stat.rsplit_once(')').map(|(_, columns)| columns.to_owned())
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let columns = stat(pid)?;
    let mut columns = columns.split_ascii_whitespace();
    Some((columns.next()?.chars().next()?, columns.next()?.parse().ok()?))
}

/// Returns whether a process is stopped (SIGSTOP).
pub fn stopped(pid: u32) -> Option<bool> {
    state_and_parent(pid).map(|(state, _)| state == 'T')
}

/// Returns whether any thread of a process or of its children is runnable. A thread that spins is
/// always runnable, however busy the machine is; a thread that waits never is.
pub fn running(pid: u32) -> Option<bool> {
    let children = children(pid)?;
    let all = std::iter::once(pid).chain(children.iter().map(|child| child.pid));
    Some(all.filter_map(any_thread_runs).any(|runs| runs))
}

fn any_thread_runs(pid: u32) -> Option<bool> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let mut states = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        let (_, columns) = stat.rsplit_once(')')?;
        columns.trim_start().chars().next()
    });
    Some(states.any(|state| state == 'R'))
}

/// Returns the resident anonymous memory of a process and its children, in KiB.
pub fn memory(pid: u32) -> Option<u64> {
    let own = resident(pid)?;
    Some(own + children(pid)?.iter().filter_map(|child| resident(child.pid)).sum::<u64>())
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns the number of processes in a process group, without zombies.
pub fn group(leader: u32) -> Option<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(columns) = pid.and_then(stat) else { continue };
        let columns: Vec<_> = columns.split_ascii_whitespace().take(3).collect();
        let of_group = columns.get(2).is_some_and(|group| *group == leader.to_string());
        count += usize::from(of_group && columns.first() != Some(&"Z"));
    }
    Some(count)
}
