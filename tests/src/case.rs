//! A case: one promise, why it must be kept, and how a client tests it.

use crate::ctx::Ctx;
use crate::stage::{Capability, Model, Stage};
use crate::verdict::Verdict;

/// How binding a promise is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The standard says MUST.
    Must,
    /// The standard says SHOULD.
    Should,
    /// A client could do harm otherwise.
    Security,
    /// The standard leaves a choice, and the contract made it.
    Contract,
    /// What the book teaches about this kind of server.
    Book,
}

impl Kind {
    /// The word that is printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Security => "security",
            Self::Contract => "contract",
            Self::Book => "book",
        }
    }
}

/// Something that a server may not offer; a case that needs it is then skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `/plaintext`.
    Plaintext,
    /// `/echo`.
    Echo,
    /// `/sleep/MS`.
    Sleep,
    /// `/bytes/N`.
    Bytes,
    /// `/stats`.
    Stats,
    /// `/panic`.
    Panic,
    /// Files of the suite's document root.
    Files,
    /// A server that serves several clients at once.
    Many,
    /// A process that the suite started itself.
    Process,
}

/// The test itself.
pub type Run = fn(&mut Ctx<'_>) -> Verdict;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The family, as in `pipelining`; set by the table of families.
    pub family: &'static str,
    /// The name within the family.
    pub name: &'static str,
    /// How binding it is.
    pub kind: Kind,
    /// The section that it rests on.
    pub cite: &'static str,
    /// What is expected, in a sentence.
    pub says: &'static str,
    /// What must be offered.
    pub needs: &'static [Need],
    /// The capability that it is about, and what holds for a server without it.
    pub about: Option<(Capability, Run)>,
    /// The most clients that it has at once, where these are many.
    pub clients: usize,
    /// The models of which it is asked; empty: of all.
    pub only: &'static [Model],
    /// The level from which on it is asked (`ch01` is 1).
    pub level: u8,
    /// Where the book explains it, if not where it explains the family.
    pub book: Option<&'static str>,
    /// The standards leave it to whoever runs the server, and the contract chose.
    pub chosen: bool,
    /// Whether the server may rightly print to standard error.
    pub may_complain: bool,
    /// The test.
    pub run: Run,
}

/// A case with nothing special about it.
pub const fn case(
    name: &'static str,
    kind: Kind,
    cite: &'static str,
    says: &'static str,
    run: Run,
) -> Case {
    Case {
        family: "",
        name,
        kind,
        cite,
        says,
        needs: &[],
        about: None,
        clients: 1,
        only: &[],
        level: 1,
        book: None,
        chosen: false,
        may_complain: false,
        run,
    }
}

impl Case {
    /// What must be offered for the case to be tried.
    #[must_use]
    pub const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    /// The case is about a capability; `lacking` runs where it is lacking.
    #[must_use]
    pub const fn about(mut self, capability: Capability, lacking: Run) -> Self {
        self.about = Some((capability, lacking));
        self
    }

    /// So many clients are there at once: a server that must be told has as many workers.
    #[must_use]
    pub const fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Asked only of servers of these models.
    #[must_use]
    pub const fn only(mut self, models: &'static [Model]) -> Self {
        self.only = models;
        self
    }

    /// The first level that asks for it.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// The section of the book.
    #[must_use]
    pub const fn book(mut self, section: &'static str) -> Self {
        self.book = Some(section);
        self
    }

    /// The standards do not ask for it, whatever its kind.
    #[must_use]
    pub const fn chosen(mut self) -> Self {
        self.chosen = true;
        self
    }

    /// The server may print to standard error here.
    #[must_use]
    pub const fn may_complain(mut self) -> Self {
        self.may_complain = true;
        self
    }

    /// `family::name`.
    pub fn full_name(&self) -> String {
        format!("{}::{}", self.family, self.name)
    }

    /// Where the book explains it.
    pub fn section(&self) -> &'static str {
        self.book.unwrap_or_else(|| crate::cases::section(self.family))
    }

    /// What to run against a stage.
    pub fn run_for(&self, stage: &Stage) -> Run {
        match self.about {
            Some((capability, lacking)) if !stage.has(capability) => lacking,
            _ => self.run,
        }
    }

    /// Why the case is not asked of a stage, if it is not.
    pub fn not_for(&self, stage: &Stage) -> Option<String> {
        if self.level > stage.level {
            return Some(format!("asked from chapter {} on", self.level));
        }
        if !self.only.is_empty() && !self.only.contains(&stage.model) {
            return Some("about servers of another kind".to_owned());
        }
        let about = self.about.map(|(capability, _)| capability);
        if stage.model == Model::Unknown
            && stage.level < 3
            && about == Some(Capability::IdleForFree)
        {
            return Some(
                "asked from chapter 3 on: till then a server may hold a thread for each client"
                    .to_owned(),
            );
        }
        if self.needs.contains(&Need::Many) && !stage.has(Capability::ManyClients) {
            return Some(
                "needs several clients at once; the limitation has cases of its own"
                    .to_owned(),
            );
        }
        None
    }
}
