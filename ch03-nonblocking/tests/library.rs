//! The chapter's library, each part by itself: a module is a file beside this one. They share a
//! program because each program takes its time to link. What changes the limits, the signals or
//! the mappings of its process, or may crash it, has a program of its own.

mod connection;
mod cuts;
mod fair;
#[path = "kept.rs"]
mod kept;
mod model;
mod nonblocking;
mod panics;
mod stale;
mod wait_fails;
