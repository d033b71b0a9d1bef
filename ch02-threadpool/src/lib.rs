//! Two servers whose workers are made once: threads, or processes.
//!
//! Chapter 2: what if workers are made once?
//!
//! ```text
//!   pool                                   prefork
//!
//!   listener.accept                        the parent creates the children, replaces any
//!        │                                 that dies, and signals all of them to stop
//!        ▼
//!      Queue ── full? ──► wait, or 503       child       child       child
//!        │                                     │           │           │
//!   ┌────┴────┬─────────┐                   accept      accept      accept
//!   ▼         ▼         ▼                      │           │           │
//!   worker    worker    worker                 │           │           │
//!   └─────────┼─────────┘                      └───────────┼───────────┘
//!             ▼                                            ▼
//!     handle_connection                            handle_connection
//!             └─────── chapter 1's serve, unchanged ───────┘
//! ```
//!
//! Threads ([`pool`]) share one acceptor and one [`queue`]. Processes ([`prefork`])
//! share one listening socket, and the kernel's backlog is their queue: each process is
//! chapter 1's `iterative`.

pub mod options;
pub mod pool;
pub mod prefork;
pub mod queue;

pub use queue::Queue;
