// ANCHOR: head
//! A fixed number of threads that take clients from a bounded queue.
//!
//! This server does not refuse a client that finds the queue full (the client waits in
//! the kernel's backlog), and does not limit the duration of the stop. At the stop it
//! does not distinguish an idle connection from one in the middle of a request: half a
//! request is cut off.

use ch01_blocking::small::{self, deadline::DeadlineStream, signals};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::io::{self, PipeReader};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The largest number of clients that wait in the queue.
const WAITING: usize = 64;

// ANCHOR_END: head
// ANCHOR: state
/// The clients that wait, those that are served, and whether the queue is closed.
#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<TcpStream>>,
    served: Vec<Arc<TcpStream>>,
    closed: bool,
}

/// The queue between the thread that accepts and the workers.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Notified when a client begins to wait, and when the queue is closed.
    client: Condvar,
    /// Notified when a client has left the queue.
    room: Condvar,
}

// ANCHOR_END: state
// ANCHOR: put
impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No thread panics while it holds the lock, so the state is intact.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a client. Blocks while the queue is full.
    fn put(&self, client: TcpStream) {
        let full = |state: &mut State| state.waiting.len() >= WAITING;
        let state = self.room.wait_while(self.lock(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting.push_back(Arc::new(client));
        self.client.notify_one();
    }

    // ANCHOR_END: put
    // ANCHOR: take
    /// Takes the client that has waited longest. Blocks while no client waits, and
    /// returns `None` when the queue is closed and empty.
    fn take(&self) -> Option<Arc<TcpStream>> {
        let empty = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let state = self.client.wait_while(self.lock(), empty);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let client = state.waiting.pop_front()?;
        state.served.push(client.clone());
        self.room.notify_one();
        Some(client)
    }

    // ANCHOR_END: take
    // ANCHOR: close
    /// Closes the queue, and ends every connection after the requests that have
    /// arrived: when no received bytes are left, a read returns 0, as if the client had
    /// finished.
    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for client in state.waiting.iter().chain(&state.served) {
            let _ = client.shutdown(Shutdown::Read);
        }
        self.client.notify_all();
    }
}

// ANCHOR_END: close
// ANCHOR: work
/// Serves one client after the other until the queue is closed.
fn work(queue: &Queue) {
    while let Some(client) = queue.take() {
        let stream = DeadlineStream::new(&client);
        // If serving fails, the cause is the client or the network, and only this
        // connection ends.
        let _ = stream.and_then(|mut stream| small::serve(&mut stream, thread::sleep));
        queue.lock().served.retain(|served| !Arc::ptr_eq(served, &client));
    }
}

// ANCHOR_END: work
// ANCHOR: main
fn main() -> io::Result<()> {
    let workers = small::option("--threads")
        .map_or(Ok(16), |n| n.parse::<NonZeroUsize>().map(usize::from));
    let workers =
        workers.map_err(|error| io::Error::other(format!("--threads: {error}")))?;
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let queue = Queue::default();
    thread::scope(|scope| {
        let worker = || thread::Builder::new().spawn_scoped(scope, || work(&queue));
        let started = (0..workers).try_for_each(|_| worker().map(drop));
        let result = started.and_then(|()| accept_clients(&queue, &stop));
        queue.close(); // after an error, too: the scope waits for the workers
        result
    })
}

/// Listens, and queues clients until the stop is requested. Then stops listening.
fn accept_clients(queue: &Queue, stop: &PipeReader) -> io::Result<()> {
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    while let Some(client) = signals::accept(&listener, &[stop])? {
        queue.put(client);
    }
    Ok(())
}
// ANCHOR_END: main
