//! A scenario: which server is started, and what is typed at which terminal.
//! One TOML file each, transcripts/NAME.toml.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::files::{files, read, stem};

/// One file of transcripts/.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// The server's program and its options, as a reader would type them behind
    /// `cargo run --release --bin`; `--listen` is added. It runs in the checkout.
    pub server: String,
    /// The server tells of several clients at once: which of two connections' lines
    /// came first is chance, and a fresh run may differ from the committed one in that.
    #[serde(default)]
    pub concurrent: bool,
    /// Show how the server is stopped, too.
    #[serde(default)]
    pub stop: bool,
    /// What happens, in this order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// One thing that happens at one terminal. What it waits for, it waits for
/// before the next step begins: the order is the scenario's, never the clock's.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// The terminal, for scenarios that need several.
    pub at: String,
    /// Type this command and wait for its end. `8080` stands for the server's port,
    /// `PID` for its process number.
    pub run: Option<String>,
    /// Type this command and leave it running.
    pub start: Option<String>,
    /// Type this at the running command, a line end behind every line.
    pub send: Option<String>,
    /// Wait until this terminal shows this text (again).
    pub see: Option<String>,
    /// Wait until the server's terminal shows this text (again).
    pub trace: Option<String>,
    /// Wait until the running command is gone: "eof" after Ctrl-D (nothing more
    /// to send), "interrupt" after Ctrl-C, "itself" when it likes.
    pub end: Option<End>,
}

/// How a running command is ended.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Ctrl-D.
    Eof,
    /// Ctrl-C.
    Interrupt,
    /// Not at all: it ends by itself.
    Itself,
}

impl Scenario {
    /// Reads every scenario of the directory, by name.
    pub fn all(dir: &Path) -> Result<Vec<Self>> {
        files(dir, "toml")?.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Result<Self> {
        let place = || format!("in {}", path.display());
        let mut scenario: Self = toml::from_str(&read(path)?).with_context(place)?;
        stem(path).clone_into(&mut scenario.name);
        let both = scenario
            .steps
            .iter()
            .position(|step| step.run.is_some() && step.start.is_some());
        match both {
            None => Ok(scenario),
            Some(at) => bail!("{}: step {} has both `run` and `start`", place(), at + 1),
        }
    }

    /// Returns the commands of this scenario that are not on this machine.
    pub fn missing_tools(&self) -> Vec<String> {
        let commands = self
            .steps
            .iter()
            .filter_map(|step| step.run.as_ref().or(step.start.as_ref()));
        let mut missing: Vec<String> = commands
            .flat_map(|command| command.split(['|', ';', '&']))
            .filter_map(|part| part.split_whitespace().next())
            .filter(|tool| !is_installed(tool))
            .map(str::to_owned)
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }

    /// Several terminals need names in the transcript; one does not.
    pub fn has_several_terminals(&self) -> bool {
        self.steps.iter().any(|step| step.at != self.steps[0].at)
    }
}

fn is_installed(tool: &str) -> bool {
    // What the shell itself knows.
    if "printf echo sleep cat for do done ( )".split(' ').any(|own| own == tool) {
        return true;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}
