//! The processes of the machine, as Linux lists them in `/proc`. Other systems list none.

use std::fs;

use nix::unistd;

use super::sandbox::PREFIX;

/// A process, as `/proc` describes it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) uid: u32,
    pub(super) zombie: bool,
    pub(super) threads: u64,
    /// Resident memory that is not backed by a file on a disk, in bytes.
    pub(super) memory: u64,
}

impl Process {
    /// Returns whether the process was started in a sandbox: its environment contains the path of a
    /// sandbox's directory. `Sandbox::new` asks this about the processes of the submission's user
    /// before it creates a sandbox, so if the result is `true`, the process is left over from an
    /// earlier sandbox.
    pub(super) fn is_left_over(&self) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid));
        let mark = format!("/{PREFIX}");
        environment.is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&mark))
    }
}

/// Returns all processes of the machine; none on a system without `/proc`.
pub(super) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_ascii_whitespace().next())
        };
        let kib = |name| value(name).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
        Some(Process {
            pid,
            parent: value("PPid:")?.parse().ok()?,
            uid: value("Uid:")?.parse().ok()?,
            zombie: matches!(value("State:"), Some("Z" | "X")),
            threads: value("Threads:")?.parse().ok()?,
            memory: 1024 * (kib("RssAnon:") + kib("RssShmem:")),
        })
    };
    entries.filter_map(process).collect()
}

/// Returns the process IDs of all descendants of this process among the processes `all`.
pub(super) fn descendants(all: &[Process]) -> Vec<i32> {
    let me = unistd::getpid().as_raw();
    let mut found = vec![me];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().filter(|process| process.parent == parent);
        found.extend(children.map(|process| process.pid));
        next += 1;
    }
    found.retain(|pid| *pid != me);
    found
}
