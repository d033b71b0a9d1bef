//! A confinement: the rights and limits under which a submission's program runs. The command
//! `course contain` takes a confinement as JSON, applies it to its own process, and then executes
//! the program in that process.
//!
//! The process of `course contain` is started only for the confinement, so it has no other thread
//! and no open file of the grader.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, Gid, Pid, Uid};
use serde::{Deserialize, Serialize};

/// The rights and limits of a confined program, in the form that `course contain` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confinement {
    /// The user ID and group ID of the program; `None` for the grader's own.
    pub user: Option<(u32, u32)>,
    /// Maximum number of processes and threads of the user.
    pub processes: u64,
    /// Maximum address space in bytes.
    pub memory: u64,
    /// Maximum size of a file in bytes.
    pub file: u64,
    /// Maximum number of open descriptors.
    pub descriptors: u64,
    /// Maximum processor time in seconds.
    pub cpu: u64,
    /// The program's working directory.
    pub directory: PathBuf,
    /// The environment variables of the program, names and values; the program has no others.
    pub environment: Vec<(String, String)>,
}

impl Confinement {
    /// Applies the confinement to this process, which cannot leave it again.
    ///
    /// # Errors
    ///
    /// Fails if a limit cannot be set, or if this process cannot become the confinement's user or
    /// could become root again.
    fn enter(&self) -> anyhow::Result<()> {
        // In a session of its own, the program has no terminal into which it could insert input
        // (TIOCSTI). The leader of a process group cannot begin a session (setsid(2)), so this
        // process joins its parent's group first.
        if unistd::getpgrp() == unistd::getpid() {
            let group = unistd::getpgid(Some(unistd::getppid()))?;
            unistd::setpgid(Pid::from_raw(0), group)?;
        }
        unistd::setsid().context("setsid")?;
        umask(Mode::S_IWGRP | Mode::S_IWOTH);
        // If this process already has a lower limit than the confinement's, the lower limit stays:
        // the suite may have set it for a case.
        for (resource, most) in [
            (Resource::RLIMIT_CORE, 0),
            (Resource::RLIMIT_CPU, self.cpu),
            (Resource::RLIMIT_NOFILE, self.descriptors),
            (Resource::RLIMIT_FSIZE, self.file),
            #[cfg(not(target_os = "freebsd"))]
            (Resource::RLIMIT_AS, self.memory),
            #[cfg(target_os = "freebsd")]
            (Resource::RLIMIT_VMEM, self.memory),
            #[cfg(not(target_vendor = "apple"))]
            (Resource::RLIMIT_NPROC, self.processes),
        ] {
            let (soft, _) = getrlimit(resource)?;
            let most = soft.min(most as rlim_t);
            setrlimit(resource, most, most).with_context(|| format!("{resource:?}"))?;
        }
        if let (true, Some((uid, gid))) = (unistd::geteuid().is_root(), self.user) {
            #[cfg(not(target_vendor = "apple"))]
            unistd::setgroups(&[]).context("setgroups")?;
            unistd::setgid(Gid::from_raw(gid)).context("setgid")?;
            unistd::setuid(Uid::from_raw(uid)).context("setuid")?;
            ensure!(unistd::setuid(Uid::from_raw(0)).is_err(), "root could be had back");
        }
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_no_new_privs()?;
        Ok(())
    }

    /// Confines this process, and executes another program in place of the running one.
    ///
    /// # Errors
    ///
    /// Returns only if the confinement or the execution fails.
    pub fn exec(&self, program: &Path, arguments: &[OsString]) -> anyhow::Result<()> {
        self.enter()?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Err(command.exec()).with_context(|| format!("cannot run {}", program.display()))
    }

    /// Kills every process of the confinement's user, except this one.
    ///
    /// # Errors
    ///
    /// Fails if the confinement names no user, or if this process cannot become that user.
    pub fn kill(&self) -> anyhow::Result<()> {
        let (uid, _) = self.user.context("no other user")?;
        self.enter()?;
        // If this process still ran as root, kill(2) with the process ID -1 would end every process
        // of this machine, so the user is checked first.
        let is_user =
            unistd::getuid().as_raw() == uid && unistd::geteuid().as_raw() == uid;
        ensure!(uid != 0 && is_user, "this is not user {uid}");
        // One call to kill(2) reaches all of the user's processes at once, so that none of them can
        // escape by forking.
        match kill(Pid::from_raw(-1), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Confines this process and tries to exceed each limit, harmlessly. Returns the limits that
    /// did not hold.
    ///
    /// # Errors
    ///
    /// Fails if this process cannot be confined.
    pub fn prove(&self) -> anyhow::Result<Vec<&'static str>> {
        let grader = unistd::getppid();
        self.enter()?;
        let mut broken = Vec::new();
        let mut holds = |what: &'static str, holds: bool| {
            if !holds {
                broken.push(what);
            }
        };
        // A write beyond the limit on file sizes raises SIGXFSZ, which would end this process.
        // While the signal is blocked, the write only fails, with EFBIG.
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        signals.thread_block()?;
        let file = self.directory.join("proof");
        let bytes = vec![0; self.file as usize + 1];
        holds("the size of a file", fs::write(&file, bytes).is_err());
        let _ = fs::remove_file(&file);
        // macOS enforces limits neither on the address space nor on processes: see
        // `Sandbox::not_contained`.
        if cfg!(not(target_vendor = "apple")) {
            let mut large = Vec::<u8>::new();
            let large =
                std::hint::black_box(&mut large).try_reserve_exact(self.memory as usize);
            holds("the address space", large.is_err());
        }
        let files: io::Result<Vec<_>> =
            (0..=self.descriptors).map(|_| File::open("/dev/null")).collect();
        holds("the number of descriptors", files.is_err());
        drop(files);
        if self.user.is_some() {
            holds("that it cannot signal the grader", kill(grader, None).is_err());
            let outside = self.directory.join("../proof");
            holds("that it cannot write outside", fs::write(outside, "").is_err());
        }
        // Starting a harmless child shows whether the number of processes is limited. The limit
        // does not bind root, but only trusted servers run as root.
        if cfg!(not(target_vendor = "apple")) && !unistd::geteuid().is_root() {
            let child = Command::new("/bin/sh").args(["-c", ":"]).spawn();
            holds("the number of processes", child.is_err());
            if let Ok(mut child) = child {
                child.wait()?;
            }
        }
        Ok(broken)
    }
}
