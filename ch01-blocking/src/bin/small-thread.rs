// ANCHOR: head
//! A thread for each client, a deadline for each request, and an orderly stop.
//!
//! This server limits neither the number of threads nor the duration of the stop. At
//! the stop it does not distinguish an idle connection from one in the middle of a
//! request: a request that has not arrived completely gets no answer.

use ch01_blocking::small::{self, deadline::DeadlineStream, signals};
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

// ANCHOR_END: head
// ANCHOR: connections
/// The open connections, by descriptor.
#[derive(Default)]
struct Connections(Mutex<HashMap<i32, Arc<TcpStream>>>);

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Arc<TcpStream>>> {
        // No thread panics while it holds the lock, so the map is intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a client until its connection ends, and then removes the connection.
    fn serve(&self, client: &TcpStream) {
        let stream = DeadlineStream::new(client);
        // If serving fails, the cause is the client or the network, and only this
        // connection ends.
        let _ = stream.and_then(|mut stream| small::serve(&mut stream, thread::sleep));
        self.lock().remove(&client.as_raw_fd());
    }

    /// Ends every connection after the requests that have arrived: when no received
    /// bytes are left, a read returns 0, as if the client had finished.
    fn hang_up(&self) {
        for client in self.lock().values() {
            let _ = client.shutdown(Shutdown::Read);
        }
    }
}

// ANCHOR_END: connections
// ANCHOR: main
fn main() -> io::Result<()> {
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let connections = &Connections::default();
    thread::scope(|scope| {
        while let Some(client) = signals::accept(&listener, &[&stop])? {
            let (fd, client) = (client.as_raw_fd(), Arc::new(client));
            connections.lock().insert(fd, client.clone());
            let serve = move || connections.serve(&client);
            if thread::Builder::new().spawn_scoped(scope, serve).is_err() {
                connections.lock().remove(&fd); // spawn failed: closes the connection
            }
        }
        drop(listener); // further connections are refused
        connections.hang_up();
        Ok(())
    }) // the scope ends when every thread has ended
}
// ANCHOR_END: main
