//! Tests that a panic outside a route costs one connection, not the loop with all of them.

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
