//! Takes from a submission the files that a plan names, and no others.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The contents of files, by path. The paths are relative to a starter or to a submission.
pub type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// The size in bytes of the largest file that is taken from a submission.
const MOST_BYTES: u64 = 1024 * 1024;

/// The largest number of files that are taken from a submission, and of directories that are read
/// below a directory that the plan names.
const MOST_FILES: usize = 1000;

/// The depth of the deepest directory that is read, counted from the submission's own directory.
const MOST_DEPTH: usize = 16;

/// Takes the files and directories in `wanted` from a submission. Returns the taken files, and a
/// note for each file that was not taken.
pub fn take(directory: &Path, wanted: &[String]) -> (Files, Vec<String>) {
    let (mut files, mut notes) = (Files::new(), Vec::new());
    for path in wanted {
        let result = match path.strip_suffix('/') {
            Some(path) => take_directory(directory, Path::new(path), &mut files),
            None => take_file(directory, Path::new(path), &mut files),
        };
        if let Err(why) = result {
            notes.push(format!("{path} is not taken from the submission: {why}"));
        }
    }
    (files, notes)
}

/// Returns whether a path is one of the files in `wanted`, or is below one of the directories
/// there, whose names end with `/`.
pub fn is_wanted(path: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|name| match name.ends_with('/') {
        true => path.starts_with(name),
        false => path == name,
    })
}

fn take_directory(base: &Path, path: &Path, files: &mut Files) -> Result<(), String> {
    let (mut open, mut read) = (vec![path.to_owned()], 0);
    while let Some(inside) = open.pop() {
        no_links(base, &inside)?;
        read += 1;
        if read > MOST_FILES || inside.components().count() > MOST_DEPTH {
            return Err("it has too many directories".to_owned());
        }
        let entries =
            fs::read_dir(base.join(&inside)).map_err(|error| error.to_string())?;
        for entry in entries.take(MOST_FILES) {
            let entry = entry.map_err(|error| error.to_string())?;
            let inside = inside.join(entry.file_name());
            match entry.file_type().map_err(|error| error.to_string())?.is_dir() {
                true => open.push(inside),
                false => take_file(base, &inside, files)?,
            }
        }
    }
    Ok(())
}

fn take_file(base: &Path, path: &Path, files: &mut Files) -> Result<(), String> {
    no_links(base, path)?;
    let Some(name) = path.to_str() else {
        return Err("the name of a file in it is not UTF-8".to_owned());
    };
    if files.len() >= MOST_FILES {
        return Err(format!("more than {MOST_FILES} files"));
    }
    // O_NOFOLLOW refuses a symbolic link, and with O_NONBLOCK the opening of a pipe without a
    // writer does not block.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = fs::File::options().read(true).custom_flags(flags).open(base.join(path));
    let file = file.map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err(format!("{name} is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{name} is larger than {MOST_BYTES} bytes"));
    }
    files.insert(name.to_owned(), bytes);
    Ok(())
}

/// Fails if a component of `path` below `base` is a symbolic link, which could lead anywhere.
fn no_links(base: &Path, path: &Path) -> Result<(), String> {
    let mut whole = base.to_owned();
    for component in path.components() {
        whole.push(component);
        let metadata = match whole.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err("it has none".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        if metadata.is_symlink() {
            let link = whole.strip_prefix(base).unwrap_or(&whole).display().to_string();
            return Err(format!("{link} is a symbolic link"));
        }
    }
    Ok(())
}

/// Returns all files below a directory of the instructor's, except those in directories called
/// `target` or `.git`.
///
/// # Errors
///
/// Fails if the directory cannot be read.
pub fn all_files(directory: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(directory.join(&inside))? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), inside.join(entry.file_name()));
            if name == "target" || name == ".git" {
                continue;
            }
            match entry.path().is_dir() {
                true => open.push(path),
                false => {
                    files.insert(path.display().to_string(), fs::read(entry.path())?);
                }
            }
        }
    }
    Ok(files)
}

/// Writes files into a directory.
///
/// # Errors
///
/// Fails if a file or a directory that its path needs cannot be written.
pub fn write(directory: &Path, files: &Files) -> std::io::Result<()> {
    for (name, bytes) in files {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn takes_what_is_named_and_follows_no_link() -> std::io::Result<()> {
        let made = tempfile::tempdir()?;
        let (inside, outside) = (made.path().join("inside"), made.path().join("outside"));
        fs::create_dir_all(inside.join("src/bin"))?;
        fs::create_dir_all(&outside)?;
        fs::write(outside.join("secret.rs"), "secret")?;
        for name in ["src/main.rs", "src/bin/a.rs", "build.rs", "Cargo.toml"] {
            fs::write(inside.join(name), name)?;
        }
        symlink(outside.join("secret.rs"), inside.join("src/bin/b.rs"))?;
        symlink(&outside, inside.join("linked"))?;
        fs::write(inside.join("large.rs"), vec![b' '; MOST_BYTES as usize + 1])?;
        nix::unistd::mkfifo(&inside.join("pipe.rs"), nix::sys::stat::Mode::S_IRUSR)?;

        let wanted =
            |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (files, notes) = take(&inside, &wanted(&["src/main.rs"]));
        assert_eq!((files.len(), notes.len()), (1, 0), "{notes:?}");
        let refused = [
            ("src/bin/b.rs", "symbolic link"),
            ("linked/secret.rs", "symbolic link"),
            ("src/", "symbolic link"),
            ("large.rs", "larger than"),
            ("pipe.rs", "no regular file"),
            ("missing.rs", "it has none"),
        ];
        for (name, why) in refused {
            let (files, notes) = take(&inside, &wanted(&[name]));
            assert!(notes.len() == 1 && notes[0].contains(why), "{name}: {notes:?}");
            let secret = files.values().any(|bytes| bytes == b"secret");
            assert!(!secret, "{name} leads outside");
        }
        Ok(())
    }
}
