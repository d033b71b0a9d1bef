//! Tests that the event loop continues when the poller's `wait` fails.

#[path = "no_wait/mod.rs"]
mod no_wait;

#[test]
fn by_the_loop() -> std::io::Result<()> {
    no_wait::every_connection_is_tried(|poller, listener, site, options, stop| {
        ch03_nonblocking::event_loop::run(poller, listener, site, options, stop)
    })
}
