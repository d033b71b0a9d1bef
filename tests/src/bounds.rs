//! What a server may have of the system's.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// What the system, not the server, bounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// Open descriptors (`RLIMIT_NOFILE`, hard and soft).
    pub descriptors: Option<u32>,
    /// Processes and threads (`RLIMIT_NPROC`), by running as a user of its own.
    pub processes: Option<u32>,
    /// Queued signals (`RLIMIT_SIGPENDING`).
    pub pending_signals: Option<u32>,
}

impl Bounds {
    /// The command, behind whatever sets these bounds. A shell does it: the limits
    /// must be set between fork and exec, and `sh` is a safe place for that.
    pub(crate) fn command(self, path: &Path, args: &[String]) -> Command {
        let mut limits = String::new();
        if let Some(count) = self.descriptors {
            limits += &format!("ulimit -n {count}; ");
        }
        if let Some(count) = self.processes {
            // dash calls it -p, bash -u.
            limits += &format!("ulimit -u {count} 2>/dev/null || ulimit -p {count}; ");
        }
        if let Some(count) = self.pending_signals.filter(|_| cfg!(target_os = "linux")) {
            // bash knows it, dash does not; every Linux has prlimit(1).
            limits += &format!(
                "ulimit -i {count} 2>/dev/null || prlimit --pid $$ --sigpending={count} || exit 1; "
            );
        }
        let mut command = if limits.is_empty() {
            Command::new(path)
        } else {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(format!("{limits}exec \"$0\" \"$@\"")).arg(path);
            shell
        };
        if self.processes.is_some() {
            // The limit does not bind root, and counts all processes of a user.
            let own = 50_000 + std::process::id() % 10_000;
            command.uid(own).gid(own);
        }
        command.args(args);
        command
    }
}
