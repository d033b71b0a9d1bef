//! Transcripts: the output that a reader would see at the terminals, made by running the real
//! programs. Each scenario transcripts/NAME.toml has two transcripts: src/transcripts/NAME.txt for
//! the clients' terminals, and NAME.server.txt for the server's terminal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use manuscript::files::replace;
use nix::sys::signal::Signal;
use regex::Regex;
use tempfile::TempDir;

use crate::normalize::normalize;
use crate::paths::Paths;
use crate::scenario::{End, Scenario, Step};
use crate::servers;
use crate::terminal::Terminal;

/// The port that transcripts show in place of the server's real port. It is the servers' default.
const SHOWN_PORT: &str = "8080";

/// Configuration of curl that makes transcripts independent of curl's version and of the user's own
/// settings: no progress meter, errors shown, and fixed values of the header fields `User-Agent`
/// and `Host`, so that the length of a request is fixed.
const CURLRC: &str =
    "silent\nshow-error\nuser-agent = \"curl/8\"\nheader = \"Host: 127.0.0.1:8080\"\n";

/// The output of one run of a scenario.
#[derive(Debug)]
pub struct Transcript {
    /// Text of the clients' terminals, in the order of events.
    pub client: String,
    /// Text of the server's terminal.
    pub server: String,
}

/// Returns all scenarios of the book, sorted by name.
pub fn scenarios(paths: &Paths) -> Result<Vec<Scenario>> {
    Scenario::all(&paths.book().join("transcripts"))
}

/// Runs the command `book transcripts [NAME…] [--check]`.
pub fn command(paths: &Paths, names: &[String], check: bool) -> Result<()> {
    let all = scenarios(paths)?;
    for name in names {
        ensure!(
            all.iter().any(|scenario| scenario.name == *name),
            "no scenario transcripts/{name}.toml"
        );
    }
    let mut stale = 0;
    for scenario in
        all.iter().filter(|scenario| names.is_empty() || names.contains(&scenario.name))
    {
        let missing = scenario.missing_tools();
        ensure!(
            missing.is_empty(),
            "{} needs {}: install it first",
            scenario.name,
            missing.join(", ")
        );
        let fresh = play(paths, scenario)
            .with_context(|| format!("in the scenario {}", scenario.name))?;
        let differences = compare(paths, scenario, &fresh);
        stale += differences.len();
        match (differences.is_empty(), check) {
            (true, _) => println!("{}: unchanged", scenario.name),
            (false, true) => println!("{}", differences.join("\n")),
            (false, false) => {
                for (file, text) in files(scenario, &fresh) {
                    replace(&paths.src().join("transcripts").join(file), text)?;
                }
                println!("{}: written", scenario.name);
            }
        }
    }
    ensure!(
        !check || stale == 0,
        "{stale} of the transcripts are stale: renew them with `cargo run --release -- transcripts`"
    );
    Ok(())
}

/// Compares the committed transcript with the transcript `fresh`, both normalized. Returns a line
/// for each file that differs; the line names the first difference.
pub fn compare(paths: &Paths, scenario: &Scenario, fresh: &Transcript) -> Vec<String> {
    let mut differences = Vec::new();
    for (file, fresh) in files(scenario, fresh) {
        let path = paths.src().join("transcripts").join(&file);
        let old = fs::read_to_string(&path).unwrap_or_default();
        let [old, new] = [&old, fresh].map(|text| match scenario.concurrent {
            // The sorted text is normalized again, because some masks match two adjacent lines, and
            // sorting makes other lines adjacent.
            true => normalize(&by_connection(&normalize(text))),
            false => normalize(text),
        });
        if old == new {
            continue;
        }
        let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
        let at = (0..).find(|&at| old.get(at) != new.get(at)).unwrap_or_default();
        let line = |lines: &[&str]| {
            lines.get(at).map_or("(nothing)".to_owned(), |line| format!("{line:?}"))
        };
        differences.push(format!(
            "src/transcripts/{file}, line {}: committed {}, now {}",
            at + 1,
            line(&old),
            line(&new)
        ));
    }
    differences
}

/// Returns the lines sorted by connection (`#1`), with the lines of one connection in order.
/// Several threads or processes write at once, so the order between connections is a matter of
/// chance.
fn by_connection(text: &str) -> String {
    let connection = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .filter(|word| word.starts_with('#'))
            .map(str::to_owned)
    };
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| connection(line));
    lines.join("\n")
}

fn files<'t>(scenario: &Scenario, transcript: &'t Transcript) -> [(String, &'t str); 2] {
    [
        (format!("{}.txt", scenario.name), &transcript.client),
        (format!("{}.server.txt", scenario.name), &transcript.server),
    ]
}

/// Returns the number of lines that the server writes until it is stopped, according to the
/// committed transcript; 0 if there is none.
fn lines_before_stop(paths: &Paths, scenario: &Scenario) -> usize {
    let file = format!("transcripts/{}.server.txt", scenario.name);
    let text = fs::read_to_string(paths.src().join(file)).unwrap_or_default();
    // The first line shows the command that starts the server.
    text.lines().skip(1).take_while(|line| *line != "^C").count()
}

/// Runs the scenario and returns its transcript.
pub fn play(paths: &Paths, scenario: &Scenario) -> Result<Transcript> {
    let mut words = scenario.server.split_whitespace();
    let name = words.next().context("the scenario names no server")?;
    let options: Vec<&str> = words.collect();
    let program = servers::find(paths, name)?;
    let mut server = Terminal::start(
        Command::new(program)
            .args(&options)
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(paths.checkout())
            .env("LC_ALL", "C")
            .env("RUST_BACKTRACE", "0"),
    )?;
    let port = server.see("listening on http://127.0.0.1:")?;
    let mut stage = Stage::new(
        paths.checkout(),
        port,
        server.pid().to_string(),
        scenario.has_several_terminals(),
    )?;
    for (number, step) in scenario.steps.iter().enumerate() {
        stage.play(step, &mut server).with_context(|| format!("step {}", number + 1))?;
    }
    server.settle(lines_before_stop(paths, scenario));
    let mut shown = format!("$ cargo run --release --bin {name}");
    if !options.is_empty() {
        shown += &format!(" -- {}", options.join(" "));
    }
    shown += "\n";
    shown += &server.fresh();
    server.signal(Signal::SIGINT);
    let status = server.wait().context("the server after SIGINT")?;
    let last = server.fresh();
    let was_killed = status.signal() == Some(Signal::SIGINT as i32);
    if !(status.success() || scenario.killed && was_killed) {
        bail!("the server ended with {status}:\n{shown}{last}");
    }
    if scenario.stop {
        shown += "^C\n";
        shown += &last;
    }
    let server = stage.disguise(&shown);
    Ok(Transcript { client: stage.finish(), server })
}

/// The clients' terminals while a scenario runs.
struct Stage<'c> {
    checkout: &'c Path,
    port: String,
    pid: String,
    /// Directory that contains [`CURLRC`] as .curlrc.
    home: TempDir,
    several: bool,
    running: BTreeMap<String, Terminal>,
    text: String,
}

impl<'c> Stage<'c> {
    fn new(checkout: &'c Path, port: String, pid: String, several: bool) -> Result<Self> {
        let home = tempfile::tempdir()?;
        fs::write(home.path().join(".curlrc"), CURLRC)?;
        Ok(Self {
            checkout,
            port,
            pid,
            home,
            several,
            running: BTreeMap::new(),
            text: String::new(),
        })
    }

    fn play(&mut self, step: &Step, server: &mut Terminal) -> Result<()> {
        let label = if self.several { step.at.as_str() } else { "" };
        if let Some(command) = step.run.as_ref().or(step.start.as_ref()) {
            self.text += &format!("{label}$ {command}\n");
            // With its option -C, which readers type, `nc` may send the CR LF of a line in a
            // separate packet. So the option is left out here, and `send` writes each line together
            // with its CR LF.
            let mut terminal = self.start(&command.replace("nc -C ", "nc "))?;
            if step.run.is_some() {
                terminal.close_input();
                terminal.wait()?;
            }
            self.running.insert(step.at.clone(), terminal);
        }
        let missing = || format!("nothing runs at terminal {:?}", step.at);
        if let Some(text) = &step.send {
            let terminal = self.running.get_mut(&step.at).with_context(missing)?;
            for line in text.lines() {
                let prompt =
                    if self.several { format!("{label}> ") } else { String::new() };
                self.text += &format!("{prompt}{line}\n");
                terminal.send(&format!("{line}\r\n"))?;
            }
        }
        if let Some(text) = &step.see {
            self.running.get_mut(&step.at).with_context(missing)?.see(text)?;
        }
        if let Some(how) = step.end {
            let terminal = self.running.get_mut(&step.at).with_context(missing)?;
            match how {
                End::Eof => terminal.close_input(),
                // SIGTERM takes the place of Ctrl-C's SIGINT: the command ignores SIGINT if the
                // process that started the book's program ignored it, because that setting is
                // inherited.
                End::Interrupt => terminal.signal(Signal::SIGTERM),
                End::Itself => {}
            }
            terminal.wait()?;
        }
        if let Some(text) = &step.trace {
            server.see(text).context("in the server's trace")?;
        }
        if let Some(terminal) = self.running.get_mut(&step.at) {
            // With several terminals, each line begins with its terminal's name.
            let bar = if self.several { format!("{label}| ") } else { String::new() };
            for line in terminal.fresh().lines() {
                self.text += format!("{bar}{line}").trim_end();
                self.text += "\n";
            }
        }
        if let Some(End::Interrupt) = step.end {
            self.text += &format!("{label}^C\n");
        }
        Ok(())
    }

    fn start(&self, command: &str) -> Result<Terminal> {
        Terminal::start(
            Command::new("sh")
                .arg("-c")
                .arg(whole_word(
                    &whole_word(command, SHOWN_PORT, &self.port),
                    "PID",
                    &self.pid,
                ))
                .current_dir(self.checkout)
                .env("LC_ALL", "C")
                .env("CURL_HOME", self.home.path()),
        )
    }

    /// Replaces the server's real port by [`SHOWN_PORT`].
    fn disguise(&self, text: &str) -> String {
        whole_word(text, &self.port, SHOWN_PORT)
    }

    fn finish(self) -> String {
        self.disguise(&self.text)
    }
}

fn whole_word(text: &str, word: &str, with: &str) -> String {
    match Regex::new(&format!(r"\b{word}\b")) {
        Ok(pattern) => pattern.replace_all(text, with).into_owned(),
        Err(_) => text.to_owned(),
    }
}
