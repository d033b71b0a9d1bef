//! The tests of the book's program and pages; each module is a file beside this one. The modules
//! share a program because linking takes time, and because most tests wait: while one waits,
//! others run.

use std::sync::Once;

use client_suite::environment::normalize;

mod browser;
mod cli;
mod lab;
mod live;
mod live_page;
mod pages;
mod picture;
mod sections;
mod transcripts;
mod webdriver;

/// Makes this process, and so every program that it starts, independent of its parent, at the first
/// call only. Every test that depends on it calls this before its first program: `normalize` also
/// removes the handler of SIGCHLD with which [`assert_cmd::Command::timeout`] waits for a program,
/// and in the middle of such a wait the test would notice the program's end only after that time.
fn normalized() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| normalize().expect("a normalized environment"));
}
