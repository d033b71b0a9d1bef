//! Tests of the chapter's library: each module is a file beside this one. The modules share one
//! program because each program takes time to link. A test that changes the limits, signals or
//! memory mappings of its process, or may crash it, has its own program.

#[macro_use]
mod delegate;

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
