//! What Linux tells about a process: descriptors, threads, children, memory.
//! Elsewhere every question is answered `None`, and the case is skipped.

use std::fs;

/// Bytes that wait in the receive queue of the local socket whose peer has
/// this port: sent to the server and not yet read by it.
pub fn receive_queue(peer_port: u16) -> Option<u64> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let peer = format!(":{peer_port:04X}");
    for line in table.lines().skip(1) {
        let mut columns = line.split_ascii_whitespace().skip(2);
        let (remote, _state, queues) = (columns.next()?, columns.next()?, columns.next()?);
        if remote.ends_with(&peer) {
            let (_, receive) = queues.split_once(':')?;
            return u64::from_str_radix(receive, 16).ok();
        }
    }
    None
}

/// Open descriptors of a process.
pub fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Threads of a process.
pub fn threads(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/task")).ok()?.count())
}

/// A child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    /// Dead and not yet reaped.
    pub zombie: bool,
}

/// The children of a process, zombies included.
pub fn children(pid: u32) -> Option<Vec<Child>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone between the two reads: then it is no child any more.
        let Some((state, parent)) = state_and_parent(child) else { continue };
        if parent == pid {
            found.push(Child { pid: child, zombie: state == 'Z' });
        }
    }
    Some(found)
}

fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets: the columns begin behind the last one.
    stat.rsplit_once(')').map(|(_, columns)| columns.to_owned())
}

fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let columns = stat(pid)?;
    let mut columns = columns.split_ascii_whitespace();
    Some((columns.next()?.chars().next()?, columns.next()?.parse().ok()?))
}

/// Whether a process is stopped (SIGSTOP).
pub fn stopped(pid: u32) -> Option<bool> {
    state_and_parent(pid).map(|(state, _)| state == 'T')
}

/// Processor time that a process has used, in ticks of 10 ms.
pub fn ticks(pid: u32) -> Option<u64> {
    let columns = stat(pid)?;
    let mut columns = columns.split_ascii_whitespace().skip(11);
    let user: u64 = columns.next()?.parse().ok()?;
    let system: u64 = columns.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory in KiB of a process and its children.
pub fn memory(pid: u32) -> Option<u64> {
    let own = resident(pid)?;
    Some(own + children(pid)?.iter().filter_map(|child| resident(child.pid)).sum::<u64>())
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
