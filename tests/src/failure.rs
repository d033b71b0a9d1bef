//! A failure report: the promise, what happened, and how to repeat the failure by hand.

use std::fmt;

use crate::case::Case;
use crate::ctx::Ctx;
use crate::fixture;
use crate::show;
use crate::target::Target;
use crate::verdict::Mismatch;

/// The report of a failed case.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The kind of the promise, and the document that the promise is based on.
    pub rests_on: String,
    /// The promise in one sentence.
    pub description: String,
    /// The behavior that the client expected.
    pub expected: String,
    /// The behavior that the client observed instead.
    pub actual: String,
    /// The events of all connections, in order.
    pub transcript: String,
    /// The command that starts the server by hand, as the suite started it; empty if the server was
    /// already running.
    pub start: String,
    /// The name of the client whose actions `by_hand` repeats, or `None` if there was only one
    /// client.
    pub client: Option<String>,
    /// The shell command that repeats the actions of the client that sent bytes last, or `None` if
    /// no client has sent any.
    pub by_hand: Option<String>,
    /// The seed by which the fixture's files vary, or `None` for their usual names and contents.
    pub seed: Option<u64>,
    /// The section of the book that explains the promise, or the file with a project's text.
    pub book: String,
    /// The path of the source file that is specific to the server, if the server is one of the
    /// book's.
    pub code: Option<&'static str>,
    /// The server's output on standard error.
    pub stderr: String,
}

impl Failure {
    /// Returns the report of a failed case.
    pub fn new(case: &Case, ctx: &mut Ctx<'_>, mismatch: Mismatch) -> Self {
        let events = ctx.log.events();
        let lacks = case.without.filter(|(capability, _)| !ctx.profile.has(*capability));
        let description = match lacks {
            Some((capability, _)) => format!(
                "This server lacks the capability \"{}\", so the case expects the limitation instead. (With the capability, the case is: {})",
                capability.title(),
                case.description
            ),
            None => case.description.to_owned(),
        };
        let root = ctx.root.display().to_string();
        let (address, start, stderr) = match ctx.started() {
            Some(server) if server.by_hand.is_empty() => {
                (server.address.to_string(), String::new(), String::new())
            }
            Some(server) => {
                // The report is read after the temporary document root has been deleted, so it
                // shows ROOT in place of the root's path.
                let start = server.by_hand.replace(&root, "ROOT");
                ("127.0.0.1:8080".to_owned(), start, server.stderr())
            }
            None => ("127.0.0.1:8080".to_owned(), String::new(), String::new()),
        };
        Self {
            rests_on: rests_on(case),
            description,
            expected: mismatch.expected,
            actual: mismatch.actual,
            transcript: show::events(&events),
            start,
            client: show::last_of_several(&events).map(str::to_owned),
            by_hand: show::by_hand(&events, &address),
            seed: fixture::variant().seed,
            book: case.section().to_owned(),
            code: match ctx.target {
                Target::Binary(program) => program.source,
                _ => None,
            },
            stderr,
        }
    }
}

fn rests_on(case: &Case) -> String {
    let (kind, cite) = (case.kind.label(), case.cite);
    if cite.starts_with(kind) { cite.to_owned() } else { format!("{kind}, {cite}") }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "promise      {} ({})", self.description, self.rests_on)?;
        writeln!(f, "expected     {}", self.expected)?;
        writeln!(f, "actual       {}", self.actual)?;
        if !self.transcript.is_empty() {
            writeln!(f, "events")?;
            f.write_str(&self.transcript)?;
        }
        if !self.start.is_empty() {
            let files = match (self.start.contains("ROOT"), self.seed) {
                (false, _) => String::new(),
                (true, None) => "   # create ROOT: `client-suite files DIR`".to_owned(),
                (true, Some(seed)) => {
                    format!("   # create ROOT: `client-suite files --seed {seed} DIR`")
                }
            };
            writeln!(f, "start        {}{files}", self.start)?;
        }
        if let Some(line) = &self.by_hand {
            let label = match &self.client {
                Some(client) => format!("by hand, {client}"),
                None => "by hand".to_owned(),
            };
            writeln!(f, "{label:13}{line}")?;
        }
        if !self.stderr.is_empty() {
            writeln!(f, "stderr")?;
            let lines: Vec<_> = self.stderr.lines().collect();
            for line in &lines[lines.len().saturating_sub(20)..] {
                writeln!(f, "    {line}")?;
            }
        }
        if let Some(seed) = self.seed {
            writeln!(
                f,
                "seed         {seed}: it gives files other names, contents and sizes, and cuts requests in two; repeat with --seed {seed}"
            )?;
        }
        writeln!(f, "book         {}", self.book)?;
        match self.code {
            Some(file) => writeln!(f, "this server  {file}"),
            None => Ok(()),
        }
    }
}
