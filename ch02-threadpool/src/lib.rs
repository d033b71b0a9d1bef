//! Chapter 2: what if workers are made once?
//!
//! ```text
//!   pool                                      prefork
//!
//!   listener.accept                           the parent makes children, replaces those
//!        │                                    that die, and tells all of them to stop
//!        ▼
//!      Queue ── full? ──► wait, or 503          child       child       child
//!        │                                        │           │           │
//!   ┌────┴────┬─────────┐                      accept      accept      accept
//!   ▼         ▼         ▼                         │           │           │
//!   worker    worker    worker                    ▼           ▼           ▼
//!   │         │         │                       handle_connection      handle_connection      handle_connection
//!   handle_connection    handle_connection    handle_connection                    │           │           │
//!   └─────────┴────┬────┘                         └───────────┴─────┬─────┘
//!                  ▼                                                ▼
//!                      serve, again and again: chapter 1's, unchanged
//! ```
//!
//! Threads ([`pool`]) share one acceptor and one [`queue`]. Processes ([`prefork`]) share
//! one listening socket, and the kernel's backlog is their queue: each of them is chapter
//! 1's `iterative`.

pub mod options;
pub mod pool;
pub mod prefork;
pub mod queue;

pub use queue::Queue;
