//! Tests that a panic outside the application's routes ends one connection, not the event loop with
//! all its connections.

#[path = "../../ch01-blocking/tests/failing/mod.rs"]
mod failing;

#[test]
fn spin() -> std::io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        ch03_nonblocking::spin::run(listener, site, options, stop)
    })
}

#[cfg(target_os = "linux")]
#[test]
fn sigio() -> std::io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        ch03_nonblocking::sigio::run(listener, site, options, stop)
    })
}
