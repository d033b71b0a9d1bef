//! Resource limits for a server under test.

use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Returns user IDs for servers that must not run as root. They are used only if this process is
/// root.
pub fn users() -> Range<u32> {
    let first = 100_000 + std::process::id() % 100_000 * 1000;
    first..first + 1000
}

/// Resource limits of a process, which the kernel enforces (getrlimit(2)).
#[derive(Debug, Clone, Copy, Default)]
pub struct Rlimits {
    /// Maximum number of open descriptors (`RLIMIT_NOFILE`, soft and hard); `None` leaves the limits
    /// as they are.
    pub descriptors: Option<u32>,
    /// Maximum number of processes and threads (`RLIMIT_NPROC`); `None` leaves the limit as it is.
    /// With a limit, the server runs as an unprivileged user, because the limit does not apply to
    /// root.
    pub processes: Option<u32>,
    /// Maximum size of the address space in KiB (`RLIMIT_AS`); `None` leaves the limit as it is.
    pub memory: Option<u32>,
    /// Maximum number of queued signals (`RLIMIT_SIGPENDING`); `None` leaves the limit as it is.
    pub pending_signals: Option<u32>,
    /// Whether file permissions apply to the server: it then runs as an unprivileged user, because
    /// root bypasses them.
    pub permissions: bool,
    /// Whether the server's standard error is a small pipe that is not read.
    pub stderr_unread: bool,
}

impl Rlimits {
    /// Returns the command that runs `path` with these limits.
    ///
    /// A shell sets the limits and then executes `path`. Without a shell, the limits would have to
    /// be set between fork and exec, which needs unsafe code (`CommandExt::pre_exec`).
    pub(crate) fn command(self, path: &Path, args: &[String]) -> Command {
        let mut limits = String::new();
        if let Some(count) = self.descriptors {
            limits += &format!("ulimit -n {count}; ");
        }
        if let Some(count) = self.processes {
            // The option of `ulimit` for the number of processes is -p in dash and -u in bash.
            limits += &format!("ulimit -u {count} 2>/dev/null || ulimit -p {count}; ");
        }
        if let Some(kib) = self.memory {
            limits += &format!("ulimit -v {kib}; ");
        }
        if let Some(count) = self.pending_signals.filter(|_| cfg!(target_os = "linux")) {
            // bash has `ulimit -i`. dash does not have it, so with dash prlimit(1) sets the limit.
            // If both commands fail, the shell exits, and the server does not start.
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
        // Neither the limit on processes nor file permissions apply to root, so the server must run
        // as another user.
        let other_user = self.processes.is_some() || self.permissions;
        if other_user && nix::unistd::geteuid().is_root() {
            // RLIMIT_NPROC counts all processes of a user, so each server runs as a different user.
            static STARTED: AtomicU32 = AtomicU32::new(0);
            let users = users();
            let number = STARTED.fetch_add(1, Relaxed) % (users.end - users.start);
            let own = users.start + number;
            command.uid(own).gid(own);
        }
        command.args(args);
        command
    }
}
