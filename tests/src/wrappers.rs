//! Wrapper scripts that start a program with additional arguments: the suite itself passes only the
//! contract's options.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A temporary directory of wrapper scripts; dropping it deletes them.
#[derive(Debug)]
pub struct Wrappers {
    directory: TempDir,
}

impl Wrappers {
    /// Creates a temporary directory without scripts.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("wrappers-").tempdir()?;
        // Every user may read the new directory: some cases start the server as another user, which
        // may not be able to read the directory in which the server was built.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// Creates a script `name` that runs a copy of `program` with `arguments`. Returns the script's
    /// path.
    pub fn create(
        &self,
        name: &str,
        program: &str,
        arguments: &str,
    ) -> io::Result<PathBuf> {
        let file = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let copy = self.directory.path().join(format!("{file}-copy"));
        if !copy.exists() {
            run(Command::new("cp").arg(program).arg(&copy))?; // see write_script
        }
        let path = self.directory.path().join(name);
        let copy = copy.display();
        // RUST_BACKTRACE would change what a panic prints. With cargo's LD_LIBRARY_PATH, the
        // dynamic loader would search more directories each time a program starts.
        let script = format!(
            "#!/bin/sh\nunset RUST_BACKTRACE RUST_LIB_BACKTRACE LD_LIBRARY_PATH\nexec '{copy}' {arguments} \"$@\"\n"
        );
        write_script(&path, &script)?;
        Ok(path)
    }
}

/// Writes an executable script with the content `text`.
///
/// Another process writes it. If this process did, a child that another thread forks at that moment
/// would inherit the descriptor, and a script that is open for writing cannot be executed
/// (execve(2), ETXTBSY).
///
/// # Errors
///
/// Fails if sh(1) does not start, or cannot write the file.
pub fn write_script(path: &Path, text: &str) -> io::Result<()> {
    let write = r#"printf %s "$2" >"$1" && chmod 755 "$1""#;
    run(Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(text))
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{command:?}: {status}"))),
    }
}
