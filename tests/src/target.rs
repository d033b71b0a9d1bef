//! What is judged: a binary of the book, a command of the reader's, or a URL.

use std::path::{Path, PathBuf};

use crate::verdict::{Step, Stop};

/// Where the server under test comes from.
#[derive(Debug, Clone)]
pub enum Target {
    /// A program that takes the contract's options.
    Binary(PathBuf),
    /// A command with placeholders such as `{port}`.
    Command(String),
    /// A server that already runs.
    Url(String),
}

/// Every option of the contract that a command may have a placeholder for,
/// with its published default. `{NAME-ms}` gives a time in whole milliseconds.
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

/// Fills a command's placeholders; skips when an option has none.
pub fn fill(
    template: &str,
    port: u16,
    root: &Path,
    options: &[(&str, &str)],
) -> Step<String> {
    let root = root.display().to_string();
    let mut filled = template
        .replace("{port}", &port.to_string())
        .replace("{listen}", &format!("127.0.0.1:{port}"))
        .replace("{root}", &root);
    for (name, default) in OPTIONS {
        let wanted =
            options.iter().find(|(option, _)| option == name).map(|(_, value)| *value);
        let (plain, millis) = (format!("{{{name}}}"), format!("{{{name}-ms}}"));
        if wanted.is_some_and(|value| value != *default)
            && !template.contains(&plain)
            && !template.contains(&millis)
        {
            return Err(Stop::skip(format!("the command has no placeholder {plain}")));
        }
        let value = wanted.unwrap_or(default);
        let in_millis =
            value.parse::<f64>().map_or(0, |seconds| (seconds * 1000.0) as u64);
        filled = filled.replace(&plain, value).replace(&millis, &in_millis.to_string());
    }
    Ok(filled)
}

impl Target {
    /// Whether the suite's document root is served.
    pub fn has_root(&self) -> bool {
        match self {
            Self::Binary(_) => true,
            Self::Command(template) => template.contains("{root}"),
            Self::Url(_) => false,
        }
    }
}

/// Where a program lies.
pub fn program(target: &Target) -> Step<&PathBuf> {
    match target {
        Target::Binary(path) => Ok(path),
        _ => Err(Stop::skip("needs a server that takes the contract's own command line")),
    }
}
