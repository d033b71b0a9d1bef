//! Who is not served because the application keeps the loop is not cut off for it.

#[path = "kept/mod.rs"]
mod kept;

use ch03_nonblocking::event_loop;
use ch03_nonblocking::spin::Spin;
use std::io;

#[test]
fn by_the_loop() -> io::Result<()> {
    kept::nobody_pays(|listener, site, options, stop| {
        event_loop::run(Spin::default(), listener, site, options, stop)
    })
}
