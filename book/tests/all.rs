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

/// Makes this process, and so every program that it starts, independent of its parent. Only the
/// first call has an effect, because `normalize` also removes the handler of SIGCHLD.
/// [`assert_cmd::Command::timeout`] needs that handler: if it is removed during a wait, the wait
/// ends only when its whole timeout has passed. So a test calls this before it starts a program.
fn normalized() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| normalize().expect("a normalized environment"));
}
