//! Tests that a client is not closed if its request is read late only because the application kept
//! the thread busy.

#[path = "../../ch03-nonblocking/tests/kept/mod.rs"]
mod busy;

use crate::servers::{Serve, coroutine};
use ch04_select_poll::poll::Poll;
use ch06_coroutines::async_server;
use std::io;

fn deadlines_keep_their_length(serve: Serve) -> io::Result<()> {
    busy::deadlines_keep_their_length(|listener, site, options, stop| {
        serve(Box::<Poll>::default(), listener, site, options, stop)
    })
}

#[test]
fn by_coroutines() -> io::Result<()> {
    deadlines_keep_their_length(coroutine)
}

#[test]
fn by_futures() -> io::Result<()> {
    deadlines_keep_their_length(async_server::run_one)
}
