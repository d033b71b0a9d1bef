//! The directory in which the parts that all submissions share are kept: the libraries' sources and
//! compiled code, and a copy of the compiler.
//!
//! The submission's user must be able to read this directory, and no user but the grader's may
//! change it, because what is in it runs in every later grading.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use nix::unistd::geteuid;

/// The directory for shared parts if the grader is root and other users cannot enter the
/// repository.
const SYSTEM: &str = "/var/cache/course-grade";

/// Returns the shared directory for the repository in `checkout`, and creates it if it is missing:
/// `target/course/grade` in the repository or, if the grader is root and other users cannot enter
/// that directory, `/var/cache/course-grade`.
///
/// # Errors
///
/// Fails if the directory cannot be created, or if another user than root could change
/// `/var/cache/course-grade`.
pub fn directory(checkout: &Path) -> anyhow::Result<PathBuf> {
    directory_or(checkout, Path::new(SYSTEM))
}

/// Does the work of [`directory`], with `system` in place of `/var/cache/course-grade`.
///
/// # Errors
///
/// Fails as [`directory`] does.
pub fn directory_or(checkout: &Path, system: &Path) -> anyhow::Result<PathBuf> {
    let own = checkout.join("target/course/grade");
    fs::create_dir_all(&own).with_context(|| own.display().to_string())?;
    // A grader that is not root runs submissions as its own user, which can enter the repository.
    // The shared directory can then be in the repository.
    if !geteuid().is_root() || all_can_enter(&own)? {
        return Ok(own);
    }
    let context = || system.display().to_string();
    DirBuilder::new().recursive(true).mode(0o755).create(system).with_context(context)?;
    let system = system.canonicalize().with_context(context)?;
    for directory in system.ancestors() {
        let metadata = directory.metadata().with_context(context)?;
        let (mode, owner) = (metadata.mode(), metadata.uid());
        // A sticky directory, such as /tmp, counts as private although every user can write there:
        // one user cannot replace the files of another in it.
        let is_private = owner == 0 && (mode & 0o022 == 0 || mode & 0o1000 != 0);
        ensure!(
            is_private && mode & 0o001 != 0,
            "other users cannot enter {}, so grading keeps compiled libraries in {}, which only root may write \
             and every user must be able to enter: `chown root {2}; chmod 755 {2}`",
            own.display(),
            system.display(),
            directory.display()
        );
    }
    Ok(system)
}

/// Returns whether every user can enter a directory: other users have the execute permission on it
/// and on each directory above it.
fn all_can_enter(directory: &Path) -> io::Result<bool> {
    for directory in directory.canonicalize()?.ancestors() {
        if directory.metadata()?.mode() & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use nix::unistd::{chown, geteuid};

    use super::directory_or;

    fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    #[test]
    fn a_closed_repository_uses_the_systems_directory() -> anyhow::Result<()> {
        let base = tempfile::tempdir()?;
        set_mode(base.path(), 0o755)?;
        let (open, closed) = (base.path().join("open"), base.path().join("closed"));
        let system = base.path().join("var/cache");
        for (directory, mode) in [(&open, 0o755), (&closed, 0o700)] {
            fs::create_dir(directory)?;
            set_mode(directory, mode)?;
        }
        let own = |checkout: &Path| checkout.join("target/course/grade");
        assert_eq!(directory_or(&open, &system)?, own(&open));
        let used = directory_or(&closed, &system)?;
        if !geteuid().is_root() {
            // Without root, a submission runs as the grader's own user, which can enter the
            // repository.
            assert_eq!(used, own(&closed));
            return Ok(());
        }
        assert_eq!(used, system.canonicalize()?);
        assert_eq!(used.metadata()?.permissions().mode() & 0o777, 0o755);
        assert_eq!(directory_or(&closed, &system)?, used);
        // The directory `system`, or a directory above it, is refused if its owner is not root, if
        // it is not sticky and users other than root may write to it, or if some users cannot enter
        // it.
        for directory in [&system, &base.path().join("var")] {
            for mode in [0o777, 0o775, 0o700] {
                set_mode(directory, mode)?;
                let error = directory_or(&closed, &system);
                let error = error.expect_err("a directory to refuse").to_string();
                let advice = format!("chmod 755 {}", directory.canonicalize()?.display());
                assert!(error.contains(&advice), "{error}");
            }
            set_mode(directory, 0o755)?;
            chown(directory, Some(4711.into()), None)?;
            assert!(directory_or(&closed, &system).is_err());
            chown(directory, Some(0.into()), None)?;
        }
        assert_eq!(directory_or(&closed, &system)?, used);
        // A repository whose `target` other users cannot enter is treated like one that they cannot
        // enter at all.
        set_mode(&open.join("target"), 0o700)?;
        assert_eq!(directory_or(&open, &system)?, used);
        Ok(())
    }
}
