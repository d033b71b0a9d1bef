//! The server to judge: a binary of the book, any command, or a URL.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::verdict::{Abort, CaseResult};

/// The server under test: a program or a command that starts it, or its URL if it is already
/// running.
#[derive(Debug, Clone)]
pub enum Target {
    /// A program that takes the contract's options.
    Binary(Program),
    /// A command with placeholders such as `{port}`.
    Command(String),
    /// The URL of a server that is already running.
    Url(String),
}

/// A program that takes the contract's options.
#[derive(Debug, Clone)]
pub struct Program {
    /// The path of the executable.
    pub path: PathBuf,
    /// The arguments before the contract's options.
    pub arguments: Vec<String>,
    /// The command that starts the program by hand. Failure reports show it, with the case's
    /// options.
    pub command: String,
    /// The path of the source file that is specific to the server, if the server is one of the
    /// book's.
    pub source: Option<&'static str>,
}

impl<P: Into<PathBuf>> From<P> for Program {
    /// Returns the program at `path`, without arguments of its own. The command that starts the
    /// program by hand is its file name.
    fn from(path: P) -> Self {
        let path = path.into();
        let command = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { path, arguments: Vec::new(), command, source: None }
    }
}

/// The contract's options for which a command may have a placeholder, with their defaults.
/// `{NAME-ms}` stands for a time in whole milliseconds.
pub const OPTIONS: &[(&str, &str)] = &[
    ("idle-timeout", "60"),
    ("head-timeout", "10"),
    ("body-timeout", "60"),
    ("body-rate", "1024"),
    ("write-timeout", "30"),
    ("linger-timeout", "2"),
    ("drain-timeout", "10"),
    ("max-line", "8192"),
    ("max-head", "16384"),
    ("max-fields", "64"),
    ("max-body", "1048576"),
    ("max-output", "65536"),
    ("max-connections", "10000"),
    ("max-buffered", "268435456"),
    ("threads", "16"),
    ("processes", "16"),
    ("queue", "64"),
    ("when-busy", "wait"),
];

/// The options that the course's projects add, with their defaults. A command may have placeholders
/// for them, like those for [`OPTIONS`].
pub const PROJECT_OPTIONS: &[(&str, &str)] = &[
    ("min-threads", "2"),
    ("max-threads", "16"),
    ("shrink-after", "5"),
    ("max-age", "60"),
    ("file-threads", "4"),
];

/// Replaces the placeholders of a command.
///
/// # Errors
///
/// [`Abort::Missing`] with the name of an option that the case sets and that has no placeholder.
pub fn fill_placeholders(
    template: &str,
    port: u16,
    root: &Path,
    options: &[(&str, &str)],
) -> CaseResult<String> {
    let root = root.display().to_string();
    let mut filled = template
        .replace("{port}", &port.to_string())
        .replace("{listen}", &format!("127.0.0.1:{port}"))
        .replace("{root}", &root);
    for (name, default) in OPTIONS.iter().chain(PROJECT_OPTIONS) {
        let wanted =
            options.iter().find(|(option, _)| option == name).map(|(_, value)| *value);
        let (plain, millis) = (format!("{{{name}}}"), format!("{{{name}-ms}}"));
        if wanted.is_some_and(|value| value != *default)
            && !template.contains(&plain)
            && !template.contains(&millis)
        {
            return Err(Abort::missing(
                name,
                format!(
                    "the command has no placeholder for --{name}: add `--{name} {plain}` to it, in your server's own words"
                ),
            ));
        }
        let value = wanted.unwrap_or(default);
        let in_millis =
            value.parse::<f64>().map_or(0, |seconds| (seconds * 1000.0) as u64);
        filled = filled.replace(&plain, value).replace(&millis, &in_millis.to_string());
    }
    Ok(filled)
}

impl Target {
    /// Returns whether the server serves the suite's document root.
    pub fn has_root(&self) -> bool {
        match self {
            Self::Binary(_) => true,
            Self::Command(template) => template.contains("{root}"),
            Self::Url(_) => false,
        }
    }
}

/// Returns the target's program, or skips the case if the target is not a program.
pub fn binary(target: &Target) -> CaseResult<&Program> {
    match target {
        Target::Binary(program) => Ok(program),
        _ => Err(Abort::skip(
            "needs a server that takes the contract's own options (--bin)",
        )),
    }
}

/// Copies the server's program to a directory where any user can run it. The copy is deleted with
/// the returned directory.
pub(crate) fn copy_program(target: &Target) -> CaseResult<(tempfile::TempDir, Target)> {
    let program = binary(target)?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Abort::skip(
            "only root can start a server as another user with a limit on processes",
        ));
    }
    let skip =
        |error: std::io::Error| Abort::skip(format!("cannot copy the program: {error}"));
    let base = tempfile::tempdir().map_err(skip)?;
    let closed = |directory: &&Path| {
        std::fs::metadata(directory).is_ok_and(|m| m.permissions().mode() & 0o001 == 0)
    };
    if let Some(directory) = base.path().ancestors().skip(1).find(closed) {
        let directory = directory.display();
        return Err(Abort::skip(format!(
            "another user cannot enter {directory}, the directory for temporary files: set TMPDIR"
        )));
    }
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755))
        .map_err(skip)?;
    let copy = base.path().join(program.path.file_name().unwrap_or_default());
    // Another process, cp(1), makes the copy. If this process wrote the copy, a child that another
    // case forks at that moment would inherit the descriptor, and a program that is open for
    // writing cannot be executed (execve(2), ETXTBSY).
    let cp = Command::new("cp").arg(&program.path).arg(&copy).status().map_err(skip)?;
    if !cp.success() {
        return Err(Abort::skip(format!("cannot copy the program: cp, {cp}")));
    }
    Ok((base, Target::Binary(Program { path: copy, ..program.clone() })))
}

/// Returns the target in a form that an unprivileged user can run, for
/// [`Rlimits::permissions`](crate::rlimits::Rlimits::permissions). If the suite runs as root, this
/// is a copy, which is deleted with the returned directory; otherwise it is `target` itself.
pub(crate) fn unprivileged(
    target: &Target,
) -> CaseResult<(Option<tempfile::TempDir>, Target)> {
    if nix::unistd::geteuid().is_root() {
        return copy_program(target).map(|(kept, copy)| (Some(kept), copy));
    }
    Ok((None, target.clone()))
}
