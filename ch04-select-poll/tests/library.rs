//! Tests of the chapter's library: each module is a file beside this one. The modules share one
//! program because each program takes time to link. A test that changes the limits, signals or
//! memory mappings of its process, or may crash it, has its own program.

#[macro_use]
#[path = "../../ch03-nonblocking/tests/delegate/mod.rs"]
mod delegate;

#[path = "../../ch03-nonblocking/tests/contract/mod.rs"]
mod contract;
mod idle;
mod pollers;
