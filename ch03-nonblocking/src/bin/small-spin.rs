// ANCHOR: all
//! One thread that tries to advance every connection, again and again.
//!
//! The thread never sleeps: even without a client it keeps a processor busy.

use ch01_blocking::small::{self, signals};
use ch03_nonblocking::small::Connection;
use nix::sys::signal::Signal;
use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::Instant;

fn main() -> io::Result<()> {
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = Some(listener);
    let mut connections: Vec<Connection> = Vec::new();
    while listener.is_some() || !connections.is_empty() {
        if signals::take(&stop) {
            listener = None; // further connections are refused
            connections.iter().for_each(Connection::hang_up);
        }
        let now = Instant::now();
        // Any error of `accept` ends the loop, usually `WouldBlock`: no client waits.
        while let Some(Ok((socket, _))) = listener.as_ref().map(TcpListener::accept) {
            connections.extend(Connection::new(socket, now).ok());
        }
        connections.retain_mut(|connection| connection.drive(now).is_some());
        thread::yield_now(); // the server's clients may be on the same processor
    }
    Ok(())
}
// ANCHOR_END: all
