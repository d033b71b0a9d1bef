//! A client whose request is not read in time because the application kept the thread
//! busy is not closed for it.

#[path = "../../ch03-nonblocking/tests/kept/mod.rs"]
mod busy;

use ch04_select_poll::poll::Poll;
use ch06_coroutines::{StackPool, async_server, coroutine_server};
use std::io;

#[test]
fn by_coroutines() -> io::Result<()> {
    busy::deadlines_keep_their_length(|listener, site, options, stop| {
        let size = StackPool::DEFAULT_SIZE;
        coroutine_server::run_one(
            Box::new(Poll::default()),
            listener,
            site,
            options,
            size,
            stop,
        )
    })
}

#[test]
fn by_futures() -> io::Result<()> {
    busy::deadlines_keep_their_length(|listener, site, options, stop| {
        async_server::run_one(Box::new(Poll::default()), listener, site, options, stop)
    })
}
