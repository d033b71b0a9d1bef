//! Tests that a panic outside of a route closes one connection, and that an error of the poller
//! closes no connection.

#[path = "../../ch01-blocking/tests/failing/mod.rs"]
mod failing;
#[path = "../../ch03-nonblocking/tests/no_wait/mod.rs"]
mod no_wait;

use crate::servers::{Serve, coroutine};
use ch04_select_poll::poll::Poll;
use ch06_coroutines::async_server;
use std::io;

fn a_panic_costs_one_connection(serve: Serve) -> io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        serve(Box::<Poll>::default(), listener, site, options, stop)
    })
}

fn an_error_of_the_poller_costs_none(serve: Serve) -> io::Result<()> {
    no_wait::every_connection_is_tried(|poller, listener, site, options, stop| {
        serve(Box::new(poller), listener, site, options, stop)
    })
}

#[test]
fn a_panic_in_a_coroutine() -> io::Result<()> {
    a_panic_costs_one_connection(coroutine)
}

#[test]
fn a_panic_in_a_future() -> io::Result<()> {
    a_panic_costs_one_connection(async_server::run_one)
}

#[test]
fn an_error_of_the_poller_under_coroutines() -> io::Result<()> {
    an_error_of_the_poller_costs_none(coroutine)
}

#[test]
fn an_error_of_the_poller_under_futures() -> io::Result<()> {
    an_error_of_the_poller_costs_none(async_server::run_one)
}
