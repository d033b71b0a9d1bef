//! What a result was measured on: without that, a number says nothing.

use std::fmt;
use std::fs;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::house::House;

/// The facts of a machine that matter for what we measure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    kernel: String,
    processor: String,
    cores: usize,
    memory_kib: u64,
    open_files: nix::libc::rlim_t,
    /// So many processes and threads may this user have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processes: Option<nix::libc::rlim_t>,
    /// The longest backlog that the kernel grants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backlog: Option<u64>,
    rustc: String,
    /// Of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    commit: String,
}

impl Machine {
    /// This machine, as far as it tells.
    pub(super) fn this(house: &House) -> Machine {
        Machine {
            kernel: nix::sys::utsname::uname().map_or_else(
                |_| "unknown".to_owned(),
                |name| {
                    let release = name.release().to_string_lossy().into_owned();
                    // The version, without what a distributor calls its build.
                    let version = release.split('-').next().unwrap_or_default();
                    format!("{} {version}", name.sysname().display())
                },
            ),
            processor: after("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory_kib: meminfo("MemTotal"),
            open_files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
            processes: most_processes(),
            backlog: fs::read_to_string("/proc/sys/net/core/somaxconn")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            rustc: said("rustc", &["--version"]),
            commit: said(
                "git",
                &[
                    "-C",
                    &house.book().display().to_string(),
                    "rev-parse",
                    "--short",
                    "HEAD",
                ],
            ),
        }
    }
}

impl Machine {
    /// Of the checkout.
    pub(super) fn commit(&self) -> &str {
        &self.commit
    }

    /// All of them, by name.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let limit =
            |limit: Option<String>| limit.unwrap_or_else(|| "not recorded".to_owned());
        let gib = self.memory_kib as f64 / 1024.0 / 1024.0;
        vec![
            ("Kernel", self.kernel.clone()),
            ("Processor", format!("{}, {} cores", self.processor, self.cores)),
            ("Memory", format!("{gib:.1} GiB")),
            ("Open files, at most", self.open_files.to_string()),
            ("Processes and threads, at most", limit(self.processes.map(unlimited))),
            ("Backlog, at most", limit(self.backlog.map(|backlog| backlog.to_string()))),
            ("Compiler", self.rustc.clone()),
            (
                "Project",
                format!("{}, commit {}", limit(self.version.clone()), self.commit),
            ),
        ]
    }
}

fn unlimited(limit: nix::libc::rlim_t) -> String {
    match limit {
        nix::libc::RLIM_INFINITY => "no limit".to_owned(),
        limit => limit.to_string(),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory_kib as f64 / 1024.0 / 1024.0;
        write!(
            f,
            "{} with {} cores ({}) and {memory:.0} GiB",
            self.kernel, self.cores, self.processor
        )
    }
}

/// A line of /proc/meminfo, in KiB; 0 where there is none.
pub(super) fn meminfo(name: &str) -> u64 {
    after("/proc/meminfo", name)
        .and_then(|value| value.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// What stands behind the colon in the line that begins with `name`.
pub(super) fn after(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// How many processes and threads this user may have, as far as nix knows.
fn most_processes() -> Option<nix::libc::rlim_t> {
    #[cfg(target_vendor = "apple")]
    return None;
    #[cfg(not(target_vendor = "apple"))]
    return getrlimit(Resource::RLIMIT_NPROC).ok().map(|(soft, _)| soft);
}
