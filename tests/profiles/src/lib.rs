//! The table of servers: each server's profile, and the capabilities that follow from it.
//!
//! The client suite has a test case for each capability. A server that has the capability must pass
//! the case; for a server that lacks it, the case asserts the limitation instead. The book's
//! capability matrix is generated from this table.

/// An ability that some servers have and others lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Other clients are served while one client stays connected, even if it is idle or slow.
    ManyClients,
    /// Other clients are served however many clients stay connected, even if they are idle or slow.
    AnyNumber,
    /// An idle client occupies no thread and no process.
    IdleForFree,
    /// Clients with descriptors beyond `FD_SETSIZE` (1024) are served.
    BeyondFdSetsize,
    /// The server uses no processor time while all clients are idle.
    AtRest,
}

impl Capability {
    /// All capabilities, in the order of the book's matrix.
    pub const ALL: [Self; 5] = [
        Self::ManyClients,
        Self::AnyNumber,
        Self::IdleForFree,
        Self::BeyondFdSetsize,
        Self::AtRest,
    ];

    /// Returns the capability's heading in the book's matrix.
    pub fn title(self) -> &'static str {
        match self {
            Self::ManyClients => "serves others while one client waits",
            Self::AnyNumber => "serves others however many wait",
            Self::IdleForFree => "an idle client costs no thread or process",
            Self::BeyondFdSetsize => "goes beyond 1024 descriptors",
            Self::AtRest => "uses no CPU while clients are idle",
        }
    }
}

/// The way in which a server organizes its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// One client is served after another.
    OneAtATime,
    /// The server forks a process for each accepted connection.
    ProcessPerClient,
    /// The server starts a thread for each accepted connection.
    ThreadPerClient,
    /// A fixed pool of threads.
    PoolOfThreads,
    /// A fixed pool of processes.
    PoolOfProcesses,
    /// One thread that polls every connection in a busy loop.
    Spinning,
    /// An event loop.
    Events {
        /// Whether the loop waits with `select`, and so is limited by `FD_SETSIZE`.
        select: bool,
    },
    /// Coroutines or futures on few threads.
    Coroutines,
    /// A server that is not one of the book's.
    Unknown,
}

/// A server of the book: its name, its chapter, and the way in which it organizes its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerProfile {
    /// The name of the server's binary.
    pub name: &'static str,
    /// The chapter in which the server appears.
    pub level: u8,
    /// The way in which the server organizes its connections.
    pub model: Model,
    /// A description of the server in a few words.
    pub summary: &'static str,
}

const fn profile(
    name: &'static str,
    level: u8,
    model: Model,
    summary: &'static str,
) -> ServerProfile {
    ServerProfile { name, level, model, summary }
}

/// The default number of workers in a pool.
pub const WORKERS: usize = 16;

/// The profiles of all servers of the book, in the book's order.
pub const PROFILES: &[ServerProfile] = &[
    profile("iterative", 1, Model::OneAtATime, "one client, then the next"),
    profile("fork", 1, Model::ProcessPerClient, "a process for each client"),
    profile("thread", 1, Model::ThreadPerClient, "a thread for each client"),
    profile("pool", 2, Model::PoolOfThreads, "a fixed pool of threads"),
    profile("prefork", 2, Model::PoolOfProcesses, "a fixed pool of processes"),
    profile("spin", 3, Model::Spinning, "tries every socket in a loop"),
    profile("sigio", 3, Model::Events { select: false }, "signals report readiness"),
    profile(
        "select",
        4,
        Model::Events { select: true },
        "asks the kernel, with bit sets",
    ),
    profile("poll", 4, Model::Events { select: false }, "asks the kernel, with a list"),
    profile("epoll", 5, Model::Events { select: false }, "the kernel keeps the list"),
    profile("epoll-et", 5, Model::Events { select: false }, "… and reports only changes"),
    profile("reactors", 5, Model::Events { select: false }, "one loop for each core"),
    profile("kqueue", 5, Model::Events { select: false }, "the same on BSD and macOS"),
    profile(
        "coroutine",
        6,
        Model::Coroutines,
        "looks like chapter 1, waits like chapter 5",
    ),
    profile(
        "async",
        6,
        Model::Coroutines,
        "looks like chapter 1, is compiled to chapter 3",
    ),
];

/// The profile of a server that is not in the table, and is expected to have every capability.
pub const UNKNOWN: ServerProfile =
    profile("yours", 6, Model::Unknown, "a server of your own");

impl ServerProfile {
    /// Returns the profile of the server with the name `name`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// Returns whether the server has the capability, which depends only on the server's [`Model`].
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::ManyClients => self.model != Model::OneAtATime,
            Capability::AnyNumber => self.capacity().is_none(),
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

    /// Returns the name of the option that sets the number of workers in a pool; `None` for a
    /// server without a pool.
    pub fn workers_option(&self) -> Option<&'static str> {
        match self.model {
            Model::PoolOfThreads => Some("threads"),
            Model::PoolOfProcesses => Some("processes"),
            _ => None,
        }
    }

    /// Returns the options that set the number of threads or processes in which workers or event
    /// loops run. The list is empty for a server with only one thread, and for a server with one
    /// thread or process for each client.
    pub fn size_options(&self) -> &'static [&'static str] {
        match self.name {
            "pool" | "coroutine" | "async" => &["threads"],
            "prefork" => &["processes"],
            "reactors" => &["threads", "processes"],
            _ => &[],
        }
    }

    /// Returns the number of clients that are served at the same time, with the options (names and
    /// values) by which the suite sets that number, or `None` if there is no limit.
    pub fn capacity(&self) -> Option<(usize, &'static [(&'static str, &'static str)])> {
        match self.model {
            Model::OneAtATime => Some((1, &[])),
            Model::PoolOfThreads => Some((4, &[("threads", "4")])),
            Model::PoolOfProcesses => Some((4, &[("processes", "4")])),
            _ => None,
        }
    }

    /// Returns the resource of which every idle client needs one more, `"process"` or `"thread"`,
    /// or `None` if an idle client adds neither.
    pub fn idle_cost(&self) -> Option<&'static str> {
        match self.model {
            Model::ProcessPerClient => Some("process"),
            Model::ThreadPerClient => Some("thread"),
            _ => None,
        }
    }

    /// Returns the path in the repository of the source file that is specific to this server, or
    /// `None` if the server is not one of the book's.
    pub fn source(&self) -> Option<&'static str> {
        Some(match self.name {
            "iterative" => "ch01-blocking/src/iterative.rs",
            "fork" => "ch01-blocking/src/fork.rs",
            "thread" => "ch01-blocking/src/thread.rs",
            "pool" => "ch02-threadpool/src/pool.rs",
            "prefork" => "ch02-threadpool/src/prefork.rs",
            "spin" => "ch03-nonblocking/src/spin.rs",
            "sigio" => "ch03-nonblocking/src/sigio.rs",
            "select" => "ch04-select-poll/src/select.rs",
            "poll" => "ch04-select-poll/src/poll.rs",
            "epoll" | "epoll-et" => "ch05-epoll/src/epoll.rs",
            "reactors" => "ch05-epoll/src/reactors.rs",
            "kqueue" => "ch05-epoll/src/kqueue.rs",
            "coroutine" => "ch06-coroutines/src/server/coroutine_server.rs",
            "async" => "ch06-coroutines/src/server/async_server.rs",
            _ => return None,
        })
    }

    /// Returns whether the server runs on this platform.
    pub fn runs_here(&self) -> bool {
        match self.name {
            "epoll" | "epoll-et" | "reactors" | "sigio" => cfg!(target_os = "linux"),
            "kqueue" => cfg!(any(target_os = "macos", target_os = "freebsd")),
            _ => true,
        }
    }
}
