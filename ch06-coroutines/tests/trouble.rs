//! A panic outside a route closes one connection; an error of the poller closes none.

#[path = "../../ch01-blocking/tests/failing/mod.rs"]
mod failing;
#[path = "../../ch03-nonblocking/tests/no_wait/mod.rs"]
mod no_wait;

use ch04_select_poll::poll::Poll;
use ch06_coroutines::{StackPool, async_server, coroutine_server};
use std::io;

const STACK: usize = StackPool::DEFAULT_SIZE;

#[test]
fn a_panic_in_a_coroutine() -> io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        let poller = Box::new(Poll::default());
        coroutine_server::run_one(poller, listener, site, options, STACK, stop)
    })
}

#[test]
fn a_panic_in_a_future() -> io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        async_server::run_one(Box::new(Poll::default()), listener, site, options, stop)
    })
}

#[test]
fn an_error_of_the_poller_under_coroutines() -> io::Result<()> {
    no_wait::every_connection_is_tried(|poller, listener, site, options, stop| {
        let poller = Box::new(poller);
        coroutine_server::run_one(poller, listener, site, options, STACK, stop)
    })
}

#[test]
fn an_error_of_the_poller_under_futures() -> io::Result<()> {
    no_wait::every_connection_is_tried(|poller, listener, site, options, stop| {
        async_server::run_one(Box::new(poller), listener, site, options, stop)
    })
}
