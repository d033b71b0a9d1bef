//! The traces that a submission's users leave outside the sandbox: files where every user may write,
//! and System V IPC objects (sysvipc(7)), which outlive their processes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, ensure};

/// The directories whose direct subdirectories are searched for those in which every user may
/// write.
const PARENTS: [&str; 4] = ["/", "/var", "/run", "/dev"];

/// The smallest size, in bytes, that a file or directory is counted with. Even an empty file, which
/// occupies no block on the disk, needs an inode and a name.
const LEAST: u64 = 4096;

/// The kinds of System V IPC objects: the name of each in `/proc/sysvipc`, and the option of
/// ipcrm(1) that removes such an object.
const KINDS: [(&str, &str); 3] = [("shm", "-m"), ("msg", "-q"), ("sem", "-s")];

/// Returns the directories in which every user may write: of the direct subdirectories of
/// [`PARENTS`], and of the directory for temporary files itself. Directories inside the returned
/// ones are not listed.
pub(super) fn shared_directories() -> Vec<PathBuf> {
    let children = PARENTS.iter().flat_map(|parent| entries(Path::new(parent)));
    let is_shared = |path: &PathBuf| {
        path.metadata().is_ok_and(|m| m.is_dir() && m.mode() & 0o002 != 0)
    };
    let all = children.chain([env::temp_dir()]).filter(is_shared);
    // The same directory may have two paths, such as /var/lock and /run/lock, so paths are made
    // canonical and each is listed once.
    let all: BTreeSet<PathBuf> =
        all.filter_map(|path| path.canonicalize().ok()).collect();
    all.into_iter().collect()
}

/// Returns the files and directories in `shared`, and in directories below them in which every user
/// may write, whose owner `is_user` accepts.
pub(super) fn strays(
    shared: &[PathBuf],
    is_user: impl Fn(u32) -> bool,
) -> BTreeSet<PathBuf> {
    let (mut found, mut open) = (BTreeSet::new(), shared.to_vec());
    while let Some(directory) = open.pop() {
        for path in entries(&directory) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if is_user(metadata.uid()) {
                found.insert(path);
            } else if metadata.is_dir() && metadata.mode() & 0o002 != 0 {
                open.push(path);
            }
        }
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Returns the number of bytes that a file, or a directory with everything in it, takes on the
/// disk. A file whose path is longer than `PATH_MAX` is not counted.
pub(super) fn size(path: &Path) -> u64 {
    let (mut bytes, mut open) = (0, vec![path.to_owned()]);
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        bytes += LEAST.max(metadata.blocks() * 512);
        if metadata.is_dir() {
            open.extend(entries(&path));
        }
    }
    bytes
}

/// Deletes a file, or a directory with everything in it. The program rm(1) does the work, because
/// it copes with directories of any depth.
///
/// # Errors
///
/// Fails if something cannot be deleted.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    let output = Command::new("rm").args(["-rf", "--"]).arg(path).output();
    let output = output.context("rm")?;
    ensure!(
        output.status.success(),
        "cannot delete {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
    );
    Ok(())
}

/// Removes the System V IPC objects whose owner or creator `is_user` accepts.
pub(super) fn remove_ipc(is_user: impl Fn(u32) -> bool) {
    for (kind, option) in KINDS {
        let table = fs::read_to_string(format!("/proc/sysvipc/{kind}"));
        for id in ids(&table.unwrap_or_default(), &is_user) {
            let mut ipcrm = Command::new("ipcrm");
            let _ = ipcrm.arg(option).arg(id).stderr(Stdio::null()).status();
        }
    }
}

/// Returns the identifiers of the objects in a table of `/proc/sysvipc` whose owner or creator
/// `is_user` accepts.
fn ids(table: &str, is_user: impl Fn(u32) -> bool) -> Vec<String> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let head = lines.next().unwrap_or_default();
    let users: Vec<_> = ["uid", "cuid"]
        .iter()
        .filter_map(|name| head.iter().position(|other| other == name))
        .collect();
    let is_its = |line: &Vec<&str>| {
        let users = users.iter().filter_map(|column| line.get(*column)?.parse().ok());
        users.into_iter().any(&is_user)
    };
    let its = lines.filter(is_its);
    its.filter_map(|line| line.get(1).map(|id| (*id).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::{ids, remove, size};

    #[test]
    fn objects_of_the_user_are_found_by_their_columns() {
        let table = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n\
                     0          3   600          1   718   718     0     0          0          0\n\
                     0          4   600          1     0     0     0     0          0        718\n\
                     0          5   600          1     0     0   718     0          0          0\n";
        assert_eq!(ids(table, |uid| uid == 718), ["3", "5"]);
        assert!(ids("", |_| true).is_empty());
    }

    #[test]
    fn empty_files_take_space_and_deep_trees_are_deleted() -> anyhow::Result<()> {
        let base = tempfile::tempdir()?;
        for number in 0..10 {
            fs::write(base.path().join(number.to_string()), "")?;
        }
        assert!(size(base.path()) >= 11 * 4096);
        // The script makes 60 nested directories with names of 100 bytes, so the path of the
        // deepest is longer than PATH_MAX (4,096 bytes).
        let script = "i=0; while [ $i -lt 60 ]; do mkdir $0 && cd -P ./$0 || exit 1; i=$((i+1)); done";
        let name = "d".repeat(100);
        let mut deep = Command::new("bash");
        deep.args(["-c", script, &name]).current_dir(base.path());
        let made = deep.output()?;
        assert!(base.path().join(&name).exists(), "{made:?}");
        remove(base.path())?;
        assert!(!base.path().exists());
        Ok(())
    }
}
