//! The table of servers: what each is made of, and so what it can and cannot do.
//!
//! Where a server has a capability, the case for it must pass; where it lacks
//! it, the case asserts the limitation itself. The book's matrix is printed
//! from this table.

/// Something that not every server can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// A client that waits does not make the others wait.
    ManyClients,
    /// No number of waiting clients makes the others wait.
    AnyNumber,
    /// An idle client costs no thread and no process.
    IdleForFree,
    /// Descriptors beyond `FD_SETSIZE` (1024) are served.
    BeyondFdSetsize,
    /// While nobody speaks, the processor rests.
    AtRest,
}

impl Capability {
    /// All of them, in the order of the matrix.
    pub const ALL: [Self; 5] = [
        Self::ManyClients,
        Self::AnyNumber,
        Self::IdleForFree,
        Self::BeyondFdSetsize,
        Self::AtRest,
    ];

    /// The heading in the matrix.
    pub fn title(self) -> &'static str {
        match self {
            Self::ManyClients => "serves others while one client waits",
            Self::AnyNumber => "serves others however many wait",
            Self::IdleForFree => "an idle client costs no thread or process",
            Self::BeyondFdSetsize => "goes beyond 1024 descriptors",
            Self::AtRest => "rests while nobody speaks",
        }
    }
}

/// How a server waits for its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One client, then the next.
    OneAtATime,
    /// A process for each client.
    ProcessPerClient,
    /// A thread for each client.
    ThreadPerClient,
    /// Threads made once.
    PoolOfThreads,
    /// Processes made once.
    PoolOfProcesses,
    /// Everybody is asked, all the time.
    Spinning,
    /// Events; the flag says that the wait is `select`.
    Events {
        /// Bound by `FD_SETSIZE`.
        select: bool,
    },
    /// Coroutines or futures on few threads.
    Coroutines,
    /// A server that is not the book's.
    Unknown,
}

/// One server of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The name of its binary.
    pub name: &'static str,
    /// The level at which it appears (`ch01` is 1).
    pub level: u8,
    /// How it waits.
    pub model: Model,
    /// In a few words.
    pub about: &'static str,
}

const fn stage(
    name: &'static str,
    level: u8,
    model: Model,
    about: &'static str,
) -> Stage {
    Stage { name, level, model, about }
}

/// So many workers a pool has unless it is told otherwise.
pub const WORKERS: usize = 16;

/// Every server, in the order of the story.
pub const STAGES: &[Stage] = &[
    stage("iterative", 1, Model::OneAtATime, "one client, then the next"),
    stage("fork", 1, Model::ProcessPerClient, "a process for each client"),
    stage("thread", 1, Model::ThreadPerClient, "a thread for each client"),
    stage("pool", 2, Model::PoolOfThreads, "threads made once"),
    stage("prefork", 2, Model::PoolOfProcesses, "processes made once"),
    stage("spin", 3, Model::Spinning, "asks everyone, always"),
    stage("sigio", 3, Model::Events { select: false }, "is told by signals"),
    stage("select", 4, Model::Events { select: true }, "asks the kernel, with bit sets"),
    stage("poll", 4, Model::Events { select: false }, "asks the kernel, with a list"),
    stage("epoll", 5, Model::Events { select: false }, "the kernel keeps the list"),
    stage(
        "epoll-et",
        5,
        Model::Events { select: false },
        "… and tells only what changed",
    ),
    stage("reactors", 5, Model::Events { select: false }, "one loop for each core"),
    stage("kqueue", 5, Model::Events { select: false }, "the same on BSD and macOS"),
    stage(
        "coroutine",
        6,
        Model::Coroutines,
        "looks like chapter 1, waits like chapter 5",
    ),
    stage(
        "async",
        6,
        Model::Coroutines,
        "looks like chapter 1, is compiled to chapter 3",
    ),
];

/// A server that the suite knows nothing about.
pub const YOURS: Stage = stage("yours", 6, Model::Unknown, "a server of your own");

impl Stage {
    /// The stage of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        STAGES.iter().find(|stage| stage.name == name)
    }

    /// Whether the server has a capability. An unknown server is expected to.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::ManyClients => self.model != Model::OneAtATime,
            Capability::AnyNumber => self.at_once().is_none(),
            Capability::IdleForFree => !matches!(
                self.model,
                Model::ProcessPerClient
                    | Model::ThreadPerClient
                    | Model::PoolOfThreads
                    | Model::PoolOfProcesses
            ),
            Capability::BeyondFdSetsize => self.model != Model::Events { select: true },
            Capability::AtRest => self.model != Model::Spinning,
        }
    }

    /// The option that says how many clients are served at once, where there is one.
    pub fn workers(&self) -> Option<&'static str> {
        match self.model {
            Model::PoolOfThreads => Some("threads"),
            Model::PoolOfProcesses => Some("processes"),
            _ => None,
        }
    }

    /// So many clients are served at once, however many wait; with the options
    /// that make it so.
    pub fn at_once(&self) -> Option<(usize, &'static [(&'static str, &'static str)])> {
        match self.model {
            Model::OneAtATime => Some((1, &[])),
            Model::PoolOfThreads => Some((4, &[("threads", "4")])),
            Model::PoolOfProcesses => Some((4, &[("processes", "4")])),
            _ => None,
        }
    }

    /// What a client that connected and waits holds, if it holds any.
    pub fn cost_of_idle(&self) -> Option<&'static str> {
        match self.model {
            Model::ProcessPerClient => Some("process"),
            Model::ThreadPerClient => Some("thread"),
            _ => None,
        }
    }

    /// Whether the server works on this platform.
    pub fn here(&self) -> bool {
        match self.name {
            "epoll" | "epoll-et" | "reactors" | "sigio" => cfg!(target_os = "linux"),
            "kqueue" => cfg!(any(target_os = "macos", target_os = "freebsd")),
            _ => true,
        }
    }
}
