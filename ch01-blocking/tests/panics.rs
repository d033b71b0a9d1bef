//! Tests that a panic outside a route costs one connection.

#[path = "failing/mod.rs"]
mod failing;

#[test]
fn thread() -> std::io::Result<()> {
    failing::costs_one_connection(|listener, site, options, stop| {
        ch01_blocking::thread::run(listener, site, options, stop)
    })
}
