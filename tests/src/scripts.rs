//! Scripts that a test writes and then executes.

use std::io;
use std::path::Path;
use std::process::Command;

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
    let status =
        Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(text).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{}: sh, {status}", path.display()))),
    }
}
