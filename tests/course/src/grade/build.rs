//! Builds a submission: its files are copied over a fresh starter, which the sandbox compiles.
//!
//! The parts that all submissions share are built once, from the starter alone, and kept (see
//! [`Base`] and [`cache`](super::cache)): the libraries' sources and compiled code, and a copy of
//! the compiler if the submission's user cannot reach the installed one.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::grade::plan::Plan;
use crate::grade::sandbox::Sandbox;
use crate::grade::submission::{self, Files, all_files};
use crate::ladder::Track;
use crate::{starter, work};

/// The name of the directory into which Cargo writes compiled files.
const TARGET: &str = "target";

/// The advice if the starter's libraries are missing.
const FETCH: &str = "the starter's libraries: run `cargo fetch` in the starter";

/// Returns the files of the starter that the plan names.
///
/// # Errors
///
/// Fails if the starter's track or directory cannot be read.
pub fn starter_files(plan: &Plan) -> anyhow::Result<Files> {
    let name = plan.starter.as_deref().context("the plan has no `starter`")?;
    if plan.starter_is_track() {
        let files = starter::files(&Track::load(name)?)?;
        return Ok(files.into_iter().map(|(name, text)| (name, text.into())).collect());
    }
    let directory = plan.directory.join(name);
    all_files(&directory).with_context(|| format!("starter: {}", directory.display()))
}

/// The directories that all submissions with the same starter share: the libraries' sources and
/// compiled code, and the compiler.
#[derive(Debug)]
pub struct Base {
    directory: PathBuf,
    /// The directory of the compiler, which contains `bin` and `lib`.
    toolchain: PathBuf,
    /// The name of a directory with a copy of the compiler, for users who cannot enter the
    /// compiler's own directory.
    toolchain_name: String,
    program: String,
}

impl Base {
    /// Makes the directories that all submissions with the same starter share, below the directory
    /// `shared`, or finds them where an earlier call made them.
    ///
    /// # Errors
    ///
    /// Fails if the starter does not compile, or if its libraries have not been fetched.
    pub fn find(shared: &Path, starter: &Files, program: &str) -> anyhow::Result<Self> {
        let version = work::output(Command::new("rustc").arg("-vV"))?;
        let sysroot = work::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let number = |of: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            of(&mut hasher);
            format!("{:016x}", hasher.finish())
        };
        let name = number(&|hasher| (starter, program, &version).hash(hasher));
        let toolchain = number(&|hasher| (&sysroot, &version).hash(hasher));
        let base = Self {
            directory: shared.join(name),
            toolchain: sysroot.into(),
            toolchain_name: format!("toolchain-{toolchain}"),
            program: program.to_owned(),
        };
        // Only the grader's user can open the lock file: a submission that could open it could lock
        // it, too, and keep other graders waiting.
        let lock = base.directory.with_extension("lock");
        let lock = File::options().create(true).append(true).mode(0o600).open(lock)?;
        let _lock =
            Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        if !base.path("ready").exists() {
            base.make(starter)?;
        }
        Ok(base)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn make(&self, starter: &Files) -> anyhow::Result<()> {
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory)?; // an earlier call was interrupted
        }
        let (source, vendor) = (self.path("starter"), self.path("vendor"));
        fs::create_dir_all(&source)?;
        submission::write(&source, starter)?;
        if !starter.contains_key("Cargo.lock") {
            crate::starter::lock(&source).context(FETCH)?;
        }
        let mut fetched = Command::new(work::cargo());
        fetched.current_dir(&source).args(["vendor", "--offline", "--locked", "--quiet"]);
        work::output(fetched.arg(&vendor)).context(FETCH)?;
        fs::create_dir_all(&vendor)?; // Cargo makes none for a starter without libraries
        let mut built = Command::new(self.toolchain.join("bin/cargo"));
        built.current_dir(&source).args(self.cargo_arguments());
        for (name, value) in self.environment(&self.path(TARGET)) {
            built.env(name, value);
        }
        for name in ["CARGO_INCREMENTAL", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            built.env_remove(name);
        }
        work::output(&mut built).context("the starter does not compile")?;
        let _ = fs::remove_dir_all(self.path(TARGET).join("debug/incremental"));
        fs::write(self.path("ready"), "")?;
        Ok(())
    }

    fn cargo_arguments(&self) -> Vec<String> {
        let vendor = self.path("vendor").display().to_string();
        [
            "build",
            "--offline",
            "--locked",
            "--quiet",
            "--color=never",
            "--bin",
            &self.program,
            "--config",
            "source.crates-io.replace-with='vendored'",
            "--config",
            &format!("source.vendored.directory={vendor:?}"),
        ]
        .map(str::to_owned)
        .into()
    }

    fn environment(&self, target: &Path) -> [(&'static str, String); 3] {
        let rustc = self.toolchain.join("bin/rustc");
        [
            ("CARGO_TARGET_DIR", target.display().to_string()),
            ("RUSTC", rustc.display().to_string()),
            ("CARGO_NET_OFFLINE", "true".to_owned()),
        ]
    }

    /// Makes sure that the submission's user can run the compiler. If root has installed the
    /// compiler for itself, other users cannot enter the compiler's directory. In that case, copies
    /// the compiler to a directory that they can enter.
    fn share_toolchain(&mut self, sandbox: &Sandbox) -> anyhow::Result<()> {
        let runs = |toolchain: &Path| {
            let rustc = toolchain.join("bin/rustc");
            let most = Duration::from_secs(60);
            sandbox
                .run(&rustc, &["--version"], &[], most)
                .map(|finished| finished.success)
        };
        if runs(&self.toolchain)? {
            return Ok(());
        }
        let shared = self.directory.with_file_name(&self.toolchain_name);
        if !shared.exists() {
            let made =
                tempfile::tempdir_in(self.directory.parent().unwrap_or(&self.directory))?;
            fs::create_dir_all(made.path().join("bin"))?;
            for name in ["bin/rustc", "bin/cargo", "lib"] {
                copy_tree(&self.toolchain.join(name), &made.path().join(name), true)?;
            }
            fs::set_permissions(made.path(), PermissionsExt::from_mode(0o755))?;
            // The renaming fails if another grader has made the same copy meanwhile; that copy is
            // then used.
            let _ = fs::rename(made.path(), &shared);
        }
        ensure!(
            runs(&shared)?,
            "the submission's user can run neither {}/bin/rustc nor its copy {}/bin/rustc: install Rust where every user can read and run it (RUSTUP_HOME=/opt/rustup)",
            self.toolchain.display(),
            shared.display()
        );
        self.toolchain = shared;
        Ok(())
    }

    /// Builds a submission's files, copied over the starter, in the sandbox, within the time
    /// `most`. Returns the program's path, or the compiler's messages if there is no program.
    ///
    /// # Errors
    ///
    /// Fails if the files cannot be copied into the sandbox, or if the compiler cannot be run
    /// there.
    pub fn build(
        mut self,
        files: &Files,
        sandbox: &Sandbox,
        most: Duration,
    ) -> anyhow::Result<Result<PathBuf, String>> {
        self.share_toolchain(sandbox)?;
        let (source, target) = (sandbox.work(), sandbox.own(TARGET));
        copy_tree(&self.path("starter").join("."), &source, false)?;
        submission::write(&source, files)?;
        copy_tree(&self.path(TARGET), &target, false)?;
        sandbox.give_all(&target)?;
        let arguments = self.cargo_arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let cargo = self.toolchain.join("bin/cargo");
        let built = sandbox.run(&cargo, &arguments, &self.environment(&target), most)?;
        if !built.success {
            return Ok(Err(built.output));
        }
        Ok(sandbox
            .adopt_built(&self.program, &target.join("debug").join(&self.program))
            .map_err(|error| format!("{error:#}")))
    }
}

/// Builds a submission in the sandbox with the plan's build command, which takes Cargo's place.
/// Returns the directory in which the server is to be started, or the command's output if it fails.
///
/// # Errors
///
/// Fails if the files cannot be copied into the sandbox, or if the command cannot be started there.
pub fn build_by_command(
    plan: &Plan,
    starter: &Files,
    files: &Files,
    sandbox: &Sandbox,
) -> anyhow::Result<Result<PathBuf, String>> {
    let directory = sandbox.own("starter");
    fs::create_dir(&directory)?;
    submission::write(&directory, starter)?;
    submission::write(&directory, files)?;
    sandbox.give_all(&directory)?;
    if let Some(command) = &plan.build {
        let line = format!("cd {} && {command}", directory.display());
        let most = Duration::from_secs(plan.limits.build_seconds);
        let built = sandbox.run(Path::new("/bin/sh"), &["-c", &line], &[], most)?;
        if !built.success {
            return Ok(Err(built.output));
        }
    }
    Ok(Ok(directory))
}

/// Copies a directory, and keeps the modification times of its files. With `linked`, hard links
/// take the place of copies where the file system allows them.
fn copy_tree(from: &Path, to: &Path, linked: bool) -> anyhow::Result<()> {
    let copy = |options: &str| {
        let mut cp = Command::new("cp");
        work::output(cp.arg(options).arg("--").arg(from).arg(to))
    };
    if linked && copy("-al").is_ok() {
        return Ok(());
    }
    if linked && to.exists() {
        bail!("{} was copied in part", to.display());
    }
    copy("-a").map(drop)
}
