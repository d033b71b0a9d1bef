//! Tests that the time for which the application blocks the event loop does not count against a
//! client's idle timeout.

#[path = "kept/mod.rs"]
mod busy;

use ch03_nonblocking::event_loop;
use ch03_nonblocking::spin::Spin;
use std::io;

#[test]
fn by_the_loop() -> io::Result<()> {
    busy::deadlines_keep_their_length(|listener, site, options, stop| {
        event_loop::run(Spin::default(), listener, site, options, stop)
    })
}
