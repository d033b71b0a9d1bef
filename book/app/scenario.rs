//! A scenario for a transcript: the server that is started, and the commands that are typed at each
//! terminal. Each scenario is a TOML file, transcripts/NAME.toml.

use std::path::Path;

use anyhow::{Context, Result, bail};
use manuscript::files::{files, read, stem};
use serde::Deserialize;

/// A scenario, read from transcripts/NAME.toml.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name, which is its file's name without the extension.
    #[serde(skip)]
    pub name: String,
    /// The server's program and its options, as a reader would type them after `cargo run --release
    /// --bin`. The server is started in the root of the checkout, with the additional option
    /// `--listen`.
    pub server: String,
    /// Whether the server traces several clients at once. The order between the lines of two
    /// connections is then a matter of chance, and comparisons of transcripts ignore that order.
    #[serde(default)]
    pub concurrent: bool,
    /// Whether the transcript also shows how the server is stopped.
    #[serde(default)]
    pub stop: bool,
    /// Whether the server has no orderly stop, so that the signal to stop kills its process.
    #[serde(default)]
    pub killed: bool,
    /// The scenario's steps, in order.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// One step of a scenario, at one terminal. The next step begins only when everything that this
/// step waits for has happened.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Name of the step's terminal, in scenarios that need several terminals.
    pub at: String,
    /// Command to type; the step waits until the command has ended. `8080` stands for the server's
    /// port, and `PID` for the server's process ID.
    pub run: Option<String>,
    /// Command to type and leave running, with the same placeholders as `run`.
    pub start: Option<String>,
    /// Text to send to the running command; each line is ended with CR LF.
    pub send: Option<String>,
    /// Text for which the step waits at its terminal. Text for which an earlier step has waited
    /// does not count.
    pub see: Option<String>,
    /// Text for which the step waits at the server's terminal. Text for which an earlier step has
    /// waited does not count.
    pub trace: Option<String>,
    /// The way in which the step ends the running command. The step then waits until the
    /// command has ended. With `None`, the step does neither: the command may go on running.
    pub end: Option<End>,
}

/// A way to end a running command.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Closes the command's input, as Ctrl-D does.
    Eof,
    /// Sends SIGTERM to the command; the transcript shows `^C`, as if Ctrl-C had been pressed.
    Interrupt,
    /// Waits until the command ends by itself.
    Itself,
}

impl Scenario {
    /// Reads all scenarios in `dir`, sorted by name.
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

    /// Returns the commands of this scenario that are not installed on this machine.
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

    /// Whether the scenario uses more than one terminal. The transcript then begins each line
    /// with its terminal's name.
    pub fn has_several_terminals(&self) -> bool {
        self.steps.iter().any(|step| step.at != self.steps[0].at)
    }
}

fn is_installed(tool: &str) -> bool {
    // Words of the shell itself, and tools that every system has, count as installed.
    if "printf echo sleep cat for do done ( )".split(' ').any(|own| own == tool) {
        return true;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(tool).is_file())
}
