// ANCHOR: all
//! Serves one client after the other, each with as many requests as it likes.
//!
//! This server leaves out deadlines and an orderly stop: a client that says nothing
//! occupies the server for as long as it likes, and a signal ends the process at once.

use ch01_blocking::small;
use std::io;
use std::thread;

fn main() -> io::Result<()> {
    let listener = small::listen()?;
    loop {
        let Ok((mut client, _)) = listener.accept() else { continue };
        // If serving fails, the cause is the client or the network, and only this
        // connection ends.
        let _ = client
            .set_nodelay(true)
            .and_then(|()| small::serve(&mut client, thread::sleep));
    }
}
// ANCHOR_END: all
