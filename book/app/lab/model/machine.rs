//! The machine on which a result was measured.

use std::fmt;
use std::fs;
use std::process::Command;

use nix::libc::{RLIM_INFINITY, rlim_t};
use nix::sys::resource::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use samples::proc::{field, meminfo};

/// The properties of a machine that influence measurements. `None` stands for a property that was
/// not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    kernel: String,
    processor: String,
    cores: usize,
    memory_kib: u64,
    /// The hard limit on open descriptors in a process.
    open_files: rlim_t,
    /// The soft limit on this user's processes and threads, if recorded.
    processes: Option<rlim_t>,
    /// The longest backlog, in connections, that the kernel grants to a listener, if recorded.
    backlog: Option<u64>,
    rustc: String,
    /// The version of this project, if recorded.
    version: Option<String>,
    /// The commit of the checkout, abbreviated.
    pub commit: String,
}

impl Machine {
    /// Returns the properties of this machine, as far as they can be read.
    pub fn this(paths: &Paths) -> Machine {
        let kernel = nix::sys::utsname::uname().map(|name| {
            let release = name.release().to_string_lossy().into_owned();
            // The kernel's version, without the suffix of a distribution.
            let version = release.split('-').next().unwrap_or_default();
            format!("{} {version}", name.sysname().display())
        });
        let backlog = fs::read_to_string("/proc/sys/net/core/somaxconn");
        let book = paths.book().display().to_string();
        Machine {
            kernel: kernel.unwrap_or_else(|_| "unknown".to_owned()),
            processor: field("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory_kib: meminfo("MemTotal"),
            open_files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
            processes: most_processes(),
            backlog: backlog.ok().and_then(|text| text.trim().parse().ok()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            rustc: output_of("rustc", &["--version"]),
            commit: output_of("git", &["-C", &book, "rev-parse", "--short", "HEAD"]),
        }
    }

    /// Returns the machine's properties as pairs of name and value, for a table.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let known =
            |fact: Option<String>| fact.unwrap_or_else(|| "not recorded".to_owned());
        let limit = |limit: rlim_t| match limit {
            RLIM_INFINITY => "no limit".to_owned(),
            limit => limit.to_string(),
        };
        let version = known(self.version.clone());
        vec![
            ("Kernel", self.kernel.clone()),
            ("Processor", format!("{}, {} cores", self.processor, self.cores)),
            ("Memory", format!("{:.1} GiB", self.gib())),
            ("Open files, at most", self.open_files.to_string()),
            ("Processes and threads, at most", known(self.processes.map(limit))),
            ("Backlog, at most", known(self.backlog.map(|backlog| backlog.to_string()))),
            ("Compiler", self.rustc.clone()),
            ("Project", format!("{version}, commit {}", self.commit)),
        ]
    }

    fn gib(&self) -> f64 {
        self.memory_kib as f64 / 1024.0 / 1024.0
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { kernel, cores, processor, .. } = self;
        write!(f, "{kernel} with {cores} cores ({processor}) and {:.0} GiB", self.gib())
    }
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Returns the soft limit on this user's processes and threads. `None` on Apple's systems, for
/// which nix does not offer this limit.
fn most_processes() -> Option<rlim_t> {
    #[cfg(target_vendor = "apple")]
    return None;
    #[cfg(not(target_vendor = "apple"))]
    return getrlimit(Resource::RLIMIT_NPROC).ok().map(|(soft, _)| soft);
}
