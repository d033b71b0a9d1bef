//! A sandbox for a submission. The submission's programs, its build scripts among them, are assumed
//! to be hostile.
//!
//! Every program of a submission is started through `course contain`, which begins a session of its
//! own, sets limits that cannot be raised again (setrlimit(2)), becomes another user, gives up
//! every way to gain privileges, and only then executes the program. No process stays between the
//! suite and the program, because `course contain` does not fork.
//!
//! ```text
//!   BASE          0755 root   made for one submission, deleted with everything in it
//!   ├── contain   0755 root   this program
//!   ├── bin       0755 root   the submission's program, and a script that runs it contained
//!   ├── work      0755 root   the starter with the submission's files
//!   └── own       0700 user   the user's home, temporary files and build directory
//! ```
//!
//! The kernel enforces the limits on processes, memory, files and descriptors, for each process or
//! user. The memory and disk space of all processes together are measured while the processes run
//! ([`Watch`]). Besides `own`, the user can write where every user may write, such as in `/tmp`. At
//! the end every process of the user is killed, and so is every descendant of the grader; the
//! directory is deleted, and so is what the user has left elsewhere. [`Sandbox::close`] fails if
//! something is left. [`Sandbox::not_contained`] returns the attacks that remain possible.
//!
//! For a few cases, the suite, running as root, starts the submission under other user IDs
//! ([`rlimits::users`]), whose processes and files are removed in the same way. If a grader is
//! itself killed, the processes and files of these other users remain, and no later grader looks
//! for them.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context as _, bail, ensure};
use client_suite::rlimits;
use client_suite::server::Server;
use client_suite::timeout::with_timeout;
use client_suite::verdict::Abort;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, Pid, Uid, chown};
use tempfile::TempDir;

use super::confinement::Confinement;
use super::plan::Limits;
use super::processes::{self, Process};
use super::run_as::RunAs;
use super::traces;

const MIB: u64 = 1024 * 1024;

/// The interval at which a [`Watch`] compares the time with its deadline. At every tenth of these
/// ticks it measures the submission's memory, and at every twentieth the space that the submission
/// takes on the disk.
const TICK: Duration = Duration::from_millis(50);

/// The beginning of the name of each sandbox's directory.
pub(super) const PREFIX: &str = "course-grade-";

/// The longest time that killing all processes of a submission may take.
const KILLING: Duration = Duration::from_secs(10);

/// The longest time that one attempt to kill all processes of a user may take.
const KILLER: Duration = Duration::from_secs(1);

/// The result of a command that was run in a sandbox.
#[derive(Debug)]
pub struct Finished {
    /// Whether the command exited with status 0, and was not killed because of a limit.
    pub success: bool,
    /// The end of the command's standard output and standard error, and the reason why the command
    /// was killed, if it was.
    pub output: String,
}

/// A directory and a user for one submission. Dropping the sandbox kills the submission's
/// processes, and deletes the directory.
#[derive(Debug)]
pub struct Sandbox {
    base: TempDir,
    run_as: RunAs,
    limits: Limits,
    /// The directories in which every user may write, such as /tmp.
    shared: Vec<PathBuf>,
    /// Whether [`close`](Self::close) has been called, so that dropping the sandbox cleans up
    /// nothing.
    closed: bool,
    /// The lock on the submission's user, held as long as this sandbox exists: another grader would
    /// kill the user's processes. `None` if the submission runs as the grader's own user.
    _lock: Option<Flock<File>>,
}

impl Sandbox {
    /// Makes the sandbox of one submission, and proves that its limits hold.
    ///
    /// # Errors
    ///
    /// Fails if the submission's user already runs a process or owns a file in a directory in which
    /// every user may write, if a limit does not hold on this machine, or if that user cannot enter
    /// the directory for temporary files.
    pub fn new(run_as: RunAs, limits: &Limits) -> anyhow::Result<Self> {
        let lock = match run_as {
            RunAs::Other(uid, _) => Some(lock(uid)?),
            RunAs::Same => None,
        };
        let shared = traces::shared_directories();
        let is_user = |uid| is_user_of(run_as, uid);
        let foreign = |p: &Process| is_user(p.uid) && !p.zombie && !p.is_left_over();
        if let Some(process) = processes::all().into_iter().find(foreign) {
            bail!(
                "user {} runs process {}, which grading would kill: make a user that runs nothing else",
                process.uid,
                process.pid
            );
        }
        if let Some(stray) = traces::strays(&shared, is_user).first() {
            bail!(
                "the submission's user owns {} already, and grading deletes what that user leaves there: \
                 delete it, or make a user that owns nothing",
                stray.display()
            );
        }
        // As a subreaper, the grader becomes the parent of each descendant whose own parent has
        // ended, so that such a process can be found.
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_child_subreaper(true)?;
        let base = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o755))?;
        let sandbox = Self {
            base,
            run_as,
            limits: limits.clone(),
            shared,
            closed: false,
            _lock: lock,
        };
        for (name, mode) in [("bin", 0o755), ("work", 0o755), ("own", 0o700)] {
            DirBuilder::new().mode(mode).create(sandbox.path(name))?;
        }
        sandbox.give(&sandbox.path("own"))?;
        for name in ["home", "tmp"] {
            fs::create_dir(sandbox.own(name))?;
            sandbox.give(&sandbox.own(name))?;
        }
        let contain = sandbox.path("contain");
        fs::copy(this_program()?, &contain)?;
        fs::set_permissions(&contain, fs::Permissions::from_mode(0o755))?;
        sandbox.kill_all();
        sandbox.prove()?;
        ensure!(
            sandbox.can_enter(&sandbox.work())?,
            "the submission's user cannot enter {}: set TMPDIR to a directory that every user can enter, such as /tmp",
            env::temp_dir().display()
        );
        Ok(sandbox)
    }

    /// Returns whether the submission's user can enter a directory.
    ///
    /// # Errors
    ///
    /// Fails if the program that tries to enter the directory cannot be started.
    pub fn can_enter(&self, directory: &Path) -> anyhow::Result<bool> {
        if self.run_as == RunAs::Same {
            return Ok(true);
        }
        let directory = directory.display().to_string();
        let arguments = ["-c", "cd \"$0\"", &directory];
        let entered = self.run(Path::new("/bin/sh"), &arguments, &[], KILLING)?;
        Ok(entered.success)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Returns the directory for the starter and the submission's files, which the submission can
    /// only read.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Returns the path of the file or directory `name` in the directory in which the submission
    /// can write.
    pub fn own(&self, name: &str) -> PathBuf {
        self.path("own").join(name)
    }

    /// Makes the submission's user the owner of a file or directory.
    ///
    /// # Errors
    ///
    /// Fails if the file does not exist.
    pub fn give(&self, path: &Path) -> anyhow::Result<()> {
        if let RunAs::Other(uid, gid) = self.run_as {
            chown(path, Some(uid), Some(gid))
                .with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Makes the submission's user the owner of a directory and everything in it.
    ///
    /// # Errors
    ///
    /// Fails if the directory cannot be read.
    pub fn give_all(&self, path: &Path) -> anyhow::Result<()> {
        self.give(path)?;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => self.give_all(&entry.path())?,
                false => self.give(&entry.path())?,
            }
        }
        Ok(())
    }

    fn confinement(&self) -> Confinement {
        let (limits, mut processes) = (&self.limits, self.limits.processes);
        let user = match self.run_as {
            RunAs::Other(uid, gid) => Some((uid.as_raw(), gid.as_raw())),
            RunAs::Same => None,
        };
        if user.is_none() {
            // The submission runs as the grader's own user, and the kernel's limit counts all
            // processes of that user. So the number of its threads that already run is added to the
            // limit.
            let me = unistd::getuid();
            let mine = processes::all().into_iter().filter(|p| p.uid == me.as_raw());
            processes += mine.map(|process| process.threads).sum::<u64>();
        }
        let text = |path: PathBuf| path.display().to_string();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let environment = [
            ("PATH", path.to_owned()),
            ("HOME", text(self.own("home"))),
            ("TMPDIR", text(self.own("tmp"))),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        Confinement {
            user,
            processes,
            memory: limits.memory * MIB,
            file: limits.file * MIB,
            descriptors: limits.descriptors,
            cpu: limits.cpu_seconds,
            directory: self.work(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }

    /// Returns the beginning of a command line that confines a process and takes the action
    /// `action` of `course contain`. The path and the arguments of a program can follow.
    fn contain(
        &self,
        confinement: &Confinement,
        action: &str,
    ) -> anyhow::Result<Vec<String>> {
        let contain = self.path("contain").display().to_string();
        let confinement = serde_json::to_string(confinement)?;
        Ok(vec![contain, "contain".to_owned(), confinement, action.to_owned()])
    }

    /// Proves that the kernel enforces limits on the submission's user. The proof uses limits so
    /// small that exceeding them does no harm.
    fn prove(&self) -> anyhow::Result<()> {
        let small = Confinement {
            processes: 0,
            memory: 1024 * MIB,
            file: 4096,
            descriptors: 16,
            directory: self.path("own"),
            ..self.confinement()
        };
        let line = self.contain(&small, "prove")?;
        let output =
            Command::new(&line[0]).args(&line[1..]).stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let broken: Vec<String> = serde_json::from_str(&text).with_context(|| {
            format!(
                "the limits cannot be proved: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        ensure!(
            broken.is_empty(),
            "nothing is run, because this does not hold on this machine: {}",
            broken.join(", ")
        );
        Ok(())
    }

    /// Makes a script that runs a program in the sandbox. The program's arguments are `arguments`,
    /// followed by the script's own. Returns the script's path.
    ///
    /// # Errors
    ///
    /// Fails if the script cannot be written.
    pub fn wrap(
        &self,
        name: &str,
        program: &Path,
        arguments: &[String],
    ) -> anyhow::Result<PathBuf> {
        let mut line = self.contain(&self.confinement(), "run")?;
        line.push(program.display().to_string());
        line.extend_from_slice(arguments);
        let line: Vec<_> = line.iter().map(|word| quoted(word)).collect();
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", line.join(" ")))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Returns a shell command that runs the shell command `command` in the sandbox, in a
    /// directory. Placeholders in `command`, such as `{port}`, are kept.
    ///
    /// # Errors
    ///
    /// Fails if the confinement cannot be written as JSON.
    pub fn wrap_command(
        &self,
        command: &str,
        directory: &Path,
    ) -> anyhow::Result<String> {
        let confinement =
            Confinement { directory: directory.to_owned(), ..self.confinement() };
        let mut line = self.contain(&confinement, "run")?;
        line.extend(["/bin/sh", "-c"].map(str::to_owned));
        line.push(format!("exec {command}"));
        Ok(line.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
    }

    /// Returns the command `start`, which starts a server in the sandbox, as the student would type
    /// it without the sandbox.
    pub fn by_hand(&self, start: &str) -> String {
        let command = start
            .split_once(" '/bin/sh' '-c' 'exec ")
            .and_then(|(_, rest)| rest.rsplit_once('\''))
            .map_or(start.to_owned(), |(command, rest)| {
                command.replace("'\\''", "'") + rest
            });
        command.replace(&format!("{}/", self.path("bin").display()), "")
    }

    /// Copies a program to a directory in which the submission can run it but not change it.
    /// Returns the path of the copy.
    ///
    /// # Errors
    ///
    /// Fails if the program is no regular file, or cannot be copied.
    pub fn adopt(&self, name: &str, program: &Path) -> anyhow::Result<PathBuf> {
        let is_file = fs::symlink_metadata(program).is_ok_and(|m| m.is_file());
        ensure!(is_file, "{} is no file", program.display());
        let copy = self.path("bin").join(format!("{name}.program"));
        // Another process, cp(1), makes the copy. If this process wrote the copy, a child that
        // another thread forks at that moment could keep it open for writing, and a program that is
        // open for writing cannot be executed (execve(2), ETXTBSY).
        let cp = Command::new("cp").arg("--").arg(program).arg(&copy).status()?;
        ensure!(cp.success(), "cannot copy {}", program.display());
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        Ok(copy)
    }

    /// Copies a program that the submission has built, as [`adopt`](Self::adopt) does.
    ///
    /// # Errors
    ///
    /// Fails if the program is no regular file, or if a symbolic link on its path leads out of the
    /// directory in which the submission can write: the grader would otherwise copy a file that the
    /// submission itself cannot read.
    pub fn adopt_built(&self, name: &str, program: &Path) -> anyhow::Result<PathBuf> {
        let own = self.path("own").canonicalize()?;
        let whole = program.canonicalize();
        let whole = whole.with_context(|| program.display().to_string())?;
        ensure!(
            whole.starts_with(own),
            "{} leads out of the build directory",
            program.display()
        );
        self.adopt(name, program)
    }

    /// Runs a program in the sandbox until the program ends, or kills the program after the time
    /// `most`. Each variable in `environment` is added to the program's environment, and replaces a
    /// variable with the same name.
    ///
    /// # Errors
    ///
    /// Fails if the program cannot be started. A program that exceeds a limit is killed, which is
    /// not an error: `success` is then `false`.
    pub fn run(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, String)],
        most: Duration,
    ) -> anyhow::Result<Finished> {
        let mut confinement = self.confinement();
        for (name, value) in environment {
            confinement.environment.retain(|(other, _)| other != name);
            confinement.environment.push(((*name).to_owned(), value.clone()));
        }
        let line = self.contain(&confinement, "run")?;
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).arg(program).args(arguments);
        let started = Server::spawn(command, program.display().to_string(), true);
        let mut running = match started {
            Ok(running) => running,
            Err(Abort::Fail(mismatch)) => bail!("{}", mismatch.actual),
            Err(_) => bail!("{} cannot be started", program.display()),
        };
        let deadline = Instant::now() + most;
        let (ended, stopped) =
            self.watched(deadline, |_| with_timeout(most + 20 * TICK, || running.wait()));
        let mut output = running.stdout() + &running.stderr();
        drop(running);
        self.kill_all();
        let mut success = matches!(&ended, Ok(status) if status.success());
        if let Some(why) = stopped {
            output += &format!("\n{why}");
            success = false;
        }
        Ok(Finished { success, output })
    }

    /// Runs `body` while the submission's processes are watched. When the submission exceeds a
    /// limit, or when the deadline has passed, all its processes are killed, again and again until
    /// `body` ends. Returns the result of `body`, and the reason why the processes were killed, if
    /// they were.
    pub fn watched<R>(
        &self,
        deadline: Instant,
        body: impl FnOnce(&Watch) -> R,
    ) -> (R, Option<String>) {
        let watch = Watch::default();
        let result = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut ticks = 0_u32;
                while !watch.over.load(Ordering::Acquire) {
                    thread::park_timeout(TICK);
                    ticks += 1;
                    if watch.stopped().is_none() {
                        watch.stop(self.excess(deadline, ticks));
                    }
                    if watch.stopped().is_some() {
                        self.kill_all();
                    }
                }
            });
            // This guard ends the watching thread, even if `body` panics.
            let over = OnDrop(|| {
                watch.over.store(true, Ordering::Release);
                watcher.thread().unpark();
            });
            let result = body(&watch);
            drop(over);
            result
        });
        (result, watch.stopped())
    }

    /// Returns the reason to kill the submission's processes, in words: the deadline has passed, or
    /// a limit is exceeded. Returns `None` if there is no reason. Memory is measured at every tenth
    /// of the ticks that `ticks` counts, disk space at every twentieth.
    fn excess(&self, deadline: Instant, ticks: u32) -> Option<String> {
        let limits = &self.limits;
        if Instant::now() >= deadline {
            return Some("its time is over".to_owned());
        }
        if ticks.is_multiple_of(10) {
            let memory = self.processes().iter().map(|p| p.memory).sum::<u64>() / MIB;
            if memory > limits.all_memory {
                return Some(format!(
                    "it uses {memory} MiB of memory, and may use {}",
                    limits.all_memory
                ));
            }
        }
        if ticks.is_multiple_of(20) {
            let disk = (traces::size(&self.path("own"))
                + self.strays().iter().map(|path| traces::size(path)).sum::<u64>())
                / MIB;
            if disk > limits.disk {
                return Some(format!(
                    "it has written {disk} MiB, and may write {}",
                    limits.disk
                ));
            }
        }
        None
    }

    /// Returns whether the submission's processes run as the user `uid`.
    fn is_user(&self, uid: u32) -> bool {
        is_user_of(self.run_as, uid)
    }

    /// Returns the submission's processes: all that run as one of the user IDs reserved for the
    /// submission, and all descendants of this process.
    fn processes(&self) -> Vec<Process> {
        let all = processes::all();
        let descendants = processes::descendants(&all);
        let is_its = |p: &Process| self.is_user(p.uid) || descendants.contains(&p.pid);
        all.into_iter().filter(is_its).collect()
    }

    /// Returns the submission's processes that have not ended.
    fn alive(&self) -> Vec<Process> {
        let mut processes = self.processes();
        processes.retain(|process| !process.zombie);
        processes
    }

    /// Kills every process of the submission: all of its users' processes, and all descendants of
    /// this process, whatever their user. Returns whether all have ended within ten seconds.
    pub fn kill_all(&self) -> bool {
        let end = Instant::now() + KILLING;
        let mut left = self.alive();
        loop {
            let users = left.iter().map(|p| p.uid).filter(|uid| self.is_user(*uid));
            let mut users: BTreeSet<u32> = users.collect();
            if let RunAs::Other(uid, _) = self.run_as {
                users.insert(uid.as_raw());
            }
            for uid in users {
                self.kill_user(uid);
            }
            left = self.alive();
            if left.is_empty() {
                return true;
            }
            for process in &left {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills every process of a user at once, by a process that runs as this user, the killer.
    /// Another process of the user can stop or kill the killer, so the killer has limited time, and
    /// [`kill_all`](Self::kill_all) tries again.
    fn kill_user(&self, uid: u32) {
        let group = match self.run_as {
            RunAs::Other(own, group) if own.as_raw() == uid => group.as_raw(),
            _ => uid,
        };
        let user = Some((uid, group));
        let confinement = Confinement { user, ..self.confinement() };
        let Ok(line) = self.contain(&confinement, "kill") else { return };
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut killer) = command.spawn() else { return };
        end_within(&mut killer, KILLER);
    }

    /// Reaps all children of the grader that have ended, among them processes that the submission
    /// has left behind. Must not be called while a server runs: it could reap a server whose exit
    /// status the suite still waits for.
    pub fn reap(&self) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                return;
            }
        }
    }

    /// Returns the files that the submission's users own in directories in which every user may
    /// write, such as /tmp.
    fn strays(&self) -> BTreeSet<PathBuf> {
        traces::strays(&self.shared, |uid| self.is_user(uid))
    }

    /// Kills the submission's processes, and deletes the sandbox's directory and everything that
    /// the submission has left elsewhere.
    ///
    /// # Errors
    ///
    /// Fails if a process or a file is left, which could falsify the results of this submission and
    /// of the next one.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.closed = true;
        self.clean()
    }

    fn clean(&self) -> anyhow::Result<()> {
        let killed = self.kill_all();
        self.reap();
        let left: Vec<_> = self.alive().iter().map(|p| p.pid.to_string()).collect();
        traces::remove_ipc(|uid| self.is_user(uid));
        let strays = self.strays().into_iter().chain([self.base.path().to_owned()]);
        let removed: Vec<_> = strays.map(|path| traces::remove(&path)).collect();
        ensure!(
            killed,
            "processes of the submission cannot be killed: {}",
            left.join(" ")
        );
        removed.into_iter().collect()
    }

    /// Returns the attacks that remain possible for a submission in spite of the sandbox, in words.
    /// `secret` is a file of the instructor's that the submission should not be able to read.
    pub fn not_contained(&self, secret: &Path) -> Vec<String> {
        let mut list = Vec::new();
        match self.run_as {
            RunAs::Same => list.push(
                "it runs as the grader's own user: it can read and change that user's files, this plan \
                 and its report among them, and end the grader (then the report has zeros); as root, with \
                 `--user`, it could not"
                    .to_owned(),
            ),
            RunAs::Other(..) => {
                let readable = |path: &Path| {
                    path.metadata().is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
                };
                if readable(secret) {
                    list.push(format!(
                        "it can read {}, as every user can: `chmod 600` hides the names of the cases",
                        secret.display()
                    ));
                }
                list.push("it can read every file that all users can read".to_owned());
                let shared = self.shared.iter().map(|path| path.display().to_string());
                list.push(format!(
                    "it can write where every user can ({}): what is left there is deleted at the end",
                    shared.collect::<Vec<_>>().join(", ")
                ));
            }
        }
        list.push("it can use the network: this machine's loopback, and whatever this machine reaches".to_owned());
        list.push("memory and disk of all its processes together are looked at and not limited: it can exceed them for about a second".to_owned());
        list.push("what is not seen then is not limited at all: shared memory and files in memory that no process has mapped (System V, memfd_create(2)), deleted files that are still open, and files deeper than a path can name".to_owned());
        list.push("it can slow down whatever else runs on this machine".to_owned());
        if cfg!(target_vendor = "apple") {
            list.push(
                "macOS limits neither its memory nor the number of its processes"
                    .to_owned(),
            );
        }
        if !cfg!(target_os = "linux") {
            list.push("a process that leaves its group can outlive the grading: only Linux finds it".to_owned());
        }
        list
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.closed
            && let Err(error) = self.clean()
        {
            eprintln!("course: {error:#}");
        }
    }
}

/// A guard that calls a function when it is dropped.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The state of a thread that watches a submission's processes: whether it should end, and why the
/// processes are being killed, if they are.
#[derive(Debug, Default)]
pub struct Watch {
    over: AtomicBool,
    stopped: Mutex<Option<String>>,
}

impl Watch {
    /// Returns the reason why the submission's processes are being killed, if they are.
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stop(&self, why: Option<String>) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// Waits until a child ends, and kills it if it does not end within `most`.
fn end_within(child: &mut Child, most: Duration) {
    let end = Instant::now() + most;
    while let Ok(None) = child.try_wait() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns whether a submission's processes run as the user `uid`: as the submission's user
/// `run_as`, or as a user that the suite has chosen for a case about permissions or the limit on
/// processes.
fn is_user_of(run_as: RunAs, uid: u32) -> bool {
    let own = matches!(run_as, RunAs::Other(own, _) if own.as_raw() == uid);
    own || (unistd::geteuid().is_root() && rlimits::users().contains(&uid))
}

/// Returns a word in quotes, which the shell reads back as exactly this word.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Returns a path from which the running program can be copied; on Linux even if the program's file
/// has been replaced meanwhile.
fn this_program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { env::current_exe() }
}

/// Waits until no other grader uses the user `uid`, and locks this user for this grader.
fn lock(uid: Uid) -> anyhow::Result<Flock<File>> {
    // Only root can create files in `/var/run`, and open this one, so no other user can hold the
    // lock.
    let path = PathBuf::from(format!("/var/run/course-grade-{uid}.lock"));
    let context = || path.display().to_string();
    let open = File::options().create(true).append(true).mode(0o600).open(&path);
    let file = open.with_context(context)?;
    // An earlier edition of the course may have created the file with a mode that lets other users
    // open it, so the mode is set again.
    file.set_permissions(fs::Permissions::from_mode(0o600)).with_context(context)?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, error)) => return Err(error).with_context(context),
    };
    eprintln!(
        "course: waiting for another grader, which uses user {uid} ({})",
        context()
    );
    let locked = Flock::lock(file, FlockArg::LockExclusive);
    locked.map_err(|(_, error)| error).with_context(context)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::end_within;

    #[test]
    fn a_child_that_is_stopped_is_killed() -> anyhow::Result<()> {
        let mut child = Command::new("sh").args(["-c", "kill -STOP $$"]).spawn()?;
        end_within(&mut child, Duration::from_millis(50));
        assert!(!child.wait()?.success());
        Ok(())
    }
}
