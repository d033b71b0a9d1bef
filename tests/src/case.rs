//! A case: one promise about a server, the document it is based on, and the test of it.

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
    /// A promise without which a client can harm the server.
    Security,
    /// A choice of the book's contract where the standards leave one.
    Contract,
    /// A property of this kind of server that the book teaches.
    Book,
}

impl Kind {
    /// Returns the kind's name in reports.
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

/// A feature that a server may lack; the cases that need it are then skipped.
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

    /// Returns the feature's name, as `--allow-missing` takes it.
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

/// The test function of a case.
pub type Run = fn(&mut Ctx<'_>) -> Verdict;

/// One promise about a server, and the test of it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The family of cases, such as `pipelining`; set by the table of families.
    pub family: &'static str,
    /// The name within the family.
    pub name: &'static str,
    /// The kind of the promise, which says how binding it is.
    pub kind: Kind,
    /// The section, man page or document that the promise is based on.
    pub cite: &'static str,
    /// The requirement of a server that the case tests, in one sentence.
    pub description: &'static str,
    /// The features without which the case is skipped.
    pub needs: &'static [Need],
    /// The capability that the case tests, and the function that tests servers without it: it
    /// asserts the limitation.
    pub without: Option<(Capability, Run)>,
    /// The largest number of clients connected at the same time; 1 for most cases.
    pub clients: usize,
    /// About how long the case takes, in whole seconds. The longest cases are started first, so
    /// that none of them begins when all others have ended.
    pub seconds: u8,
    /// The models that the case applies to; empty for all.
    pub only: &'static [Model],
    /// The first chapter whose servers must pass the case.
    pub level: u8,
    /// The section of the book that explains the promise, if it is not the family's section.
    pub book: Option<&'static str>,
    /// Whether no standard requires the promise, whatever its kind: then the book's contract chose
    /// it.
    pub beyond_standards: bool,
    /// Whether the server may write to standard error.
    pub may_log: bool,
    /// The test function.
    pub run: Run,
}

/// Returns a case with these properties, and defaults for all others.
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

    /// Sets the capability that the case tests. `lacking` runs instead against servers without it,
    /// and asserts the limitation.
    #[must_use]
    pub const fn without(mut self, capability: Capability, lacking: Run) -> Self {
        self.without = Some((capability, lacking));
        self
    }

    /// Sets the duration of the case, in whole seconds. Needed only from two seconds on.
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

    /// Allows the server to write to standard error.
    #[must_use]
    pub const fn may_log(mut self) -> Self {
        self.may_log = true;
        self
    }

    /// Returns `family::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.family, self.name)
    }

    /// Returns the section of the book that explains the promise.
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
    /// it applies.
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
