//! A failure that teaches: what was promised, what happened, how to repeat it.

use std::fmt;

use crate::case::Case;
use crate::ctx::Ctx;
use crate::show;
use crate::verdict::Fault;

/// Everything that a reader needs to understand a broken promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The promise: kind and citation.
    pub rests_on: String,
    /// The promise in a sentence.
    pub says: String,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub came: String,
    /// What happened, in order.
    pub transcript: String,
    /// How to start the server for it, if it needs anything special.
    pub start: String,
    /// Whose part of it `by_hand` repeats, if there were several clients.
    pub client: Option<String>,
    /// How to repeat it.
    pub by_hand: Option<String>,
    /// Where the book explains it.
    pub book: String,
    /// What the server printed.
    pub stderr: String,
}

impl Failure {
    /// Gathers what is known.
    pub fn new(case: &Case, ctx: &mut Ctx<'_>, fault: Fault) -> Self {
        let events = ctx.log.events();
        let lacks = case.about.filter(|(capability, _)| !ctx.stage.has(*capability));
        let says = match lacks {
            Some((capability, _)) => format!(
                "This server has not the capability \"{}\", and must then show the limitation (the case is: {})",
                capability.title(),
                case.says
            ),
            None => case.says.to_owned(),
        };
        let root = ctx.root.display().to_string();
        let (address, start, stderr) = match ctx.started() {
            Some(server) if server.by_hand.is_empty() => {
                (server.address.to_string(), String::new(), String::new())
            }
            Some(server) => {
                // The root of this run is gone when the failure is read.
                let start = server.by_hand.replace(&root, "ROOT");
                ("127.0.0.1:8080".to_owned(), start, server.stderr())
            }
            None => ("127.0.0.1:8080".to_owned(), String::new(), String::new()),
        };
        Self {
            rests_on: rests_on(case),
            says,
            expected: fault.expected,
            came: fault.came,
            transcript: show::events(&events),
            start,
            client: show::last_of_several(&events).map(str::to_owned),
            by_hand: show::by_hand(&events, &address),
            book: case.section().to_owned(),
            stderr,
        }
    }
}

fn rests_on(case: &Case) -> String {
    let (kind, cite) = (case.kind.word(), case.cite);
    if cite.starts_with(kind) { cite.to_owned() } else { format!("{kind}, {cite}") }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the promise  {} ({})", self.says, self.rests_on)?;
        writeln!(f, "expected     {}", self.expected)?;
        writeln!(f, "came         {}", self.came)?;
        if !self.transcript.is_empty() {
            writeln!(f, "in order")?;
            f.write_str(&self.transcript)?;
        }
        if !self.start.is_empty() {
            let files = if self.start.contains("ROOT") {
                "   # ROOT: `client-suite files DIR`"
            } else {
                ""
            };
            writeln!(f, "start it     {}{files}", self.start)?;
        }
        if let Some(line) = &self.by_hand {
            let label = match &self.client {
                Some(client) => format!("by hand, {client}"),
                None => "by hand".to_owned(),
            };
            writeln!(f, "{label:13}{line}")?;
        }
        if !self.stderr.is_empty() {
            writeln!(f, "it printed")?;
            let lines: Vec<_> = self.stderr.lines().collect();
            for line in &lines[lines.len().saturating_sub(20)..] {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "the book     {}", self.book)
    }
}
