//! A case: one promise about a server, the document that the promise is based on, and the test of
//! the promise.

use crate::ctx::Ctx;
use crate::profile::{Capability, Model, ServerProfile};
use crate::verdict::Verdict;

/// The kind of a promise: how binding it is, and which document demands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A promise that a standard demands (MUST).
    Must,
    /// A promise that a standard recommends (SHOULD).
    Should,
    /// A promise that protects the server: without it a client can harm the server.
    Security,
    /// A promise that the book's contract makes where the standards leave a choice.
    Contract,
    /// A property that the book teaches about one kind of server, such as servers with a pool of
    /// threads.
    Book,
}

impl Kind {
    /// Returns the kind's name as reports print it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Security => "security",
            Self::Contract => "contract",
            Self::Book => "book",
        }
    }
}

/// A feature of the server that a case needs. Without the feature the case is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The route `/plaintext`.
    Plaintext,
    /// The route `/echo`.
    Echo,
    /// The route `/sleep/MS`.
    Sleep,
    /// The route `/bytes/N`.
    Bytes,
    /// The route `/stats`.
    Stats,
    /// The route `/panic`.
    Panic,
    /// Serving the files of the suite's document root.
    Files,
    /// Serving several clients at the same time.
    Many,
    /// Access to the server's process, which the suite must have started itself.
    Process,
}

impl Need {
    /// The features that the contract demands of every server; `--allow-missing` takes their names.
    pub const DEMANDED: [Self; 7] = [
        Self::Plaintext,
        Self::Echo,
        Self::Sleep,
        Self::Bytes,
        Self::Stats,
        Self::Panic,
        Self::Files,
    ];

    /// Returns the feature's name in the form that `--allow-missing` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Echo => "echo",
            Self::Sleep => "sleep",
            Self::Bytes => "bytes",
            Self::Stats => "stats",
            Self::Panic => "panic",
            Self::Files => "files",
            Self::Many => "many",
            Self::Process => "process",
        }
    }
}

/// The type of a case's test function.
pub type Run = fn(&mut Ctx<'_>) -> Verdict;

/// One promise about a server, and the test of the promise.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The family that the case belongs to, such as `pipelining`; the table of families in
    /// `cases/mod.rs` sets this field.
    pub family: &'static str,
    /// The case's name, which is unique within the case's family.
    pub name: &'static str,
    /// The kind of the promise, which says how binding it is.
    pub kind: Kind,
    /// The section, man page or document that the promise is based on.
    pub cite: &'static str,
    /// The requirement that the case tests, in one sentence.
    pub description: &'static str,
    /// The features without which the case is skipped.
    pub needs: &'static [Need],
    /// The capability that the case tests, and the function that runs in place of the case's own
    /// against a server without the capability. That function asserts that the capability is
    /// missing. `None` if the case tests no capability.
    pub without: Option<(Capability, Run)>,
    /// The largest number of clients that the case connects at the same time; 1 for most cases.
    pub clients: usize,
    /// The approximate duration of the case, in whole seconds. Among the cases of one second or
    /// more, the longest are started first, so that no long case still runs when all others have
    /// ended.
    pub seconds: u8,
    /// The models of servers that the case applies to; empty if the case applies to all models.
    pub only: &'static [Model],
    /// The first chapter whose servers must pass the case.
    pub level: u8,
    /// The section of the book that explains the promise; `None` stands for the section that
    /// explains the case's whole family.
    pub book: Option<&'static str>,
    /// Whether the promise is a choice of the book's contract that no standard requires, whatever
    /// the kind of the promise says.
    pub beyond_standards: bool,
    /// Whether the server may write to standard error while the case runs.
    pub may_log: bool,
    /// The function that tests the promise.
    pub run: Run,
}

/// Returns a case with the properties in the arguments, and with defaults for all other properties.
pub const fn case(
    name: &'static str,
    kind: Kind,
    cite: &'static str,
    description: &'static str,
    run: Run,
) -> Case {
    Case {
        family: "",
        name,
        kind,
        cite,
        description,
        needs: &[],
        without: None,
        clients: 1,
        seconds: 0,
        only: &[],
        level: 1,
        book: None,
        beyond_standards: false,
        may_log: false,
        run,
    }
}

impl Case {
    /// Sets the features without which the case is skipped.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// Sets the capability that the case tests. Against a server without the capability, `lacking`
    /// runs in place of the test function, and asserts that the capability is missing.
    #[must_use]
    pub const fn without(mut self, capability: Capability, lacking: Run) -> Self {
        self.without = Some((capability, lacking));
        self
    }

    /// Sets the duration of the case, in whole seconds. Needed only for a case of two seconds or
    /// more.
    #[must_use]
    pub const fn lasts(mut self, seconds: u8) -> Self {
        self.seconds = seconds;
        self
    }

    /// Sets the number of clients connected at the same time. A server with a fixed number of
    /// workers is started with at least as many workers.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Restricts the case to servers of these models.
    #[must_use]
    pub const fn only(mut self, models: &'static [Model]) -> Self {
        self.only = models;
        self
    }

    /// Sets the first chapter whose servers must pass the case.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// Sets the section of the book that explains the promise.
    #[must_use]
    pub const fn book(mut self, section: &'static str) -> Self {
        self.book = Some(section);
        self
    }

    /// Marks the case as a choice of the book's contract, which no standard requires.
    #[must_use]
    pub const fn beyond_standards(mut self) -> Self {
        self.beyond_standards = true;
        self
    }

    /// Allows the server to write to standard error while the case runs.
    #[must_use]
    pub const fn may_log(mut self) -> Self {
        self.may_log = true;
        self
    }

    /// Returns the case's full name, `family::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.family, self.name)
    }

    /// Returns the section of the book that explains the promise which the case tests.
    pub fn section(&self) -> &'static str {
        self.book.unwrap_or_else(|| crate::cases::section(self.family))
    }

    /// Returns the test function for a server with this profile.
    pub fn run_for(&self, profile: &ServerProfile) -> Run {
        match self.without {
            Some((capability, lacking)) if !profile.has(capability) => lacking,
            _ => self.run,
        }
    }

    /// Returns the reason why the case does not apply to a server with this profile, or `None` if
    /// the case applies.
    pub fn skip_reason(&self, profile: &ServerProfile) -> Option<String> {
        if self.level > profile.level {
            return Some(format!("applies from chapter {} on", self.level));
        }
        if !self.only.is_empty() && !self.only.contains(&profile.model) {
            return Some("applies to servers of another kind".to_owned());
        }
        let about = self.without.map(|(capability, _)| capability);
        if profile.model == Model::Unknown
            && profile.level < 3
            && about == Some(Capability::IdleForFree)
        {
            return Some(
                "applies from chapter 3 on: before, a server may use a thread for each client"
                    .to_owned(),
            );
        }
        if self.needs.contains(&Need::Many) && !profile.has(Capability::ManyClients) {
            return Some(
                "needs several clients at once; the limitation has its own cases"
                    .to_owned(),
            );
        }
        None
    }
}
