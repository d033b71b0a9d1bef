//! File access: lists files, reads them with errors that name the file, and replaces their content
//! atomically.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

/// Returns the paths of all files below `dir` whose names end in `.ending`, sorted.
///
/// # Errors
///
/// A directory cannot be read.
pub fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)
            .with_context(|| format!("cannot read {}", dir.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the time at which the file was last modified.
///
/// # Errors
///
/// The time cannot be read. The error names the file.
pub fn modified(path: &Path) -> Result<SystemTime> {
    fs::metadata(path)
        .and_then(|file| file.modified())
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the time of the latest change of a file below `dir`. Skips directories that hold no
/// sources: the directory `except`, directories called `target`, and directories whose names begin
/// with a dot.
///
/// # Errors
///
/// A directory or a file's time cannot be read.
pub fn latest_change(dir: &Path, except: &Path) -> Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in
        fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?
    {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let changed = match path.is_dir() {
            true if path == except || name == "target" => continue,
            true if name.as_encoded_bytes().starts_with(b".") => continue,
            true => latest_change(&path, except)?,
            false => modified(&path)?,
        };
        latest = latest.max(changed);
    }
    Ok(latest)
}

/// Reads a text file.
///
/// # Errors
///
/// The file cannot be read, or is not UTF-8. The error names the file.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns a file's name without its extension; empty if the name is not UTF-8.
pub fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

/// Replaces the file's content by `text`, atomically, and creates the file's directory if needed. A
/// process that reads the file meanwhile, or after this process was killed, finds either the old
/// text or the new text, never a part.
///
/// # Errors
///
/// The directory cannot be created, or the file cannot be written. The error names the file.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(path.parent().unwrap_or(path))
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
