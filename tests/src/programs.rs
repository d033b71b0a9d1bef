//! Programs that are other programs with arguments of their own: the suite starts a
//! server with the contract's options and no others.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory of scripts, each of which starts a program with arguments. It goes when
/// the value is dropped.
#[derive(Debug)]
pub struct Programs {
    directory: TempDir,
}

impl Programs {
    /// An empty directory.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("programs-").tempdir()?;
        // Some cases start the server as another user, who need not be able to come
        // where it was built.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// A program `name` that is `program` with these arguments. All are made before the
    /// first is started: a script that is still open for writing, in a child just
    /// forked, could not be.
    pub fn make(
        &self,
        name: &str,
        program: &str,
        arguments: &str,
    ) -> io::Result<PathBuf> {
        let file = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let itself = self.directory.path().join(format!("{file}-itself"));
        if !itself.exists() {
            fs::copy(program, &itself)?;
        }
        let path = self.directory.path().join(name);
        let itself = itself.display();
        // Without an environment: RUST_BACKTRACE, for one, would change what a panic says.
        let script = format!("#!/bin/sh\nexec env -i '{itself}' {arguments} \"$@\"\n");
        fs::write(&path, script)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }
}
