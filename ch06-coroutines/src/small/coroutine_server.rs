// ANCHOR: head
//! A coroutine for each client on one thread: chapter 1's small `serve`, unchanged.
//!
//! Left out are fairness (a client that sends without pause is served without pause), a
//! limit on the number of connections, and a deadline for the stop. An idle connection
//! keeps its stack.
#![allow(unsafe_code)] // `Scheduler::spawn` is unsafe

use super::scheduler::Scheduler;
use ch01_blocking::small::deadline::{IDLE_TIME, TIME};
use ch01_blocking::small::{self, signals};
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::rc::Rc;
use std::time::Instant;

// ANCHOR_END: head
// ANCHOR: stream
/// The state that all tasks share.
struct Server {
    scheduler: Scheduler,
    is_stopping: Cell<bool>,
}

/// A socket that suspends its task where a blocking socket would block the thread.
struct ParkingStream<'s> {
    server: &'s Server,
    /// The socket: non-blocking, and watched by the scheduler, which wakes this task.
    socket: TcpStream,
    /// The deadline for the rest of the request; `None` before its first byte.
    deadline: Option<Instant>,
}

impl ParkingStream<'_> {
    /// Tries an operation until it no longer fails with `WouldBlock`, and parks between
    /// the attempts. Fails with `TimedOut` when the deadline has passed.
    fn attempt(
        &self,
        deadline: Instant,
        mut operation: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match operation(&self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            self.server.scheduler.park(Some(deadline));
        }
    }
}

impl Read for ParkingStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + IDLE_TIME);
        let n = self.attempt(deadline, |mut socket| match socket.read(buffer) {
            // After the stop, the task does not wait for further bytes.
            Err(error)
                if error.kind() == ErrorKind::WouldBlock
                    && self.server.is_stopping.get() =>
            {
                Ok(0)
            }
            result => result,
        })?;
        self.deadline.get_or_insert_with(|| Instant::now() + TIME);
        Ok(n)
    }
}

impl Write for ParkingStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.deadline = None; // the next read sets a new deadline
        self.attempt(Instant::now() + TIME, |mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// ANCHOR_END: stream
// ANCHOR: accept
/// The first task: accepts clients until there is a byte in the pipe `stop`.
fn accept(
    server: &Rc<Server>,
    listener: TcpListener,
    stop: &PipeReader,
) -> io::Result<()> {
    server.scheduler.watch(&listener)?;
    server.scheduler.watch(stop)?;
    while !signals::take(stop) {
        match listener.accept() {
            Ok((socket, _)) => {
                let task = Rc::clone(server);
                // An error of a connection is caused by the client or the network, and
                // ends this connection only.
                let body = move || drop(handle_connection(&task, socket));
                // SAFETY: the body suspends in `ParkingStream` and `sleep` only,
                // outside of any thread-local's initializer or destructor, and refers
                // to no thread-local there. Without memory for a stack, the client is
                // dropped.
                let _ = unsafe { server.scheduler.spawn(body) };
                server.scheduler.yield_now(); // other tasks run between two accepts
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                server.scheduler.park(None);
            }
            // The error is usually EMFILE: no descriptor is left. The client waits in
            // the backlog during the pause.
            Err(_) => server.scheduler.sleep(signals::PAUSE),
        }
    }
    drop(listener); // further connections are refused
    server.is_stopping.set(true);
    server.scheduler.wake_all();
    Ok(())
}

// ANCHOR_END: accept
// ANCHOR: run
/// The task of one client: serves the client until the connection ends.
fn handle_connection(server: &Server, socket: TcpStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    server.scheduler.watch(&socket)?;
    let mut stream = ParkingStream { server, socket, deadline: None };
    small::serve(&mut stream, |time| server.scheduler.sleep(time))
}

/// Serves until SIGTERM or SIGINT, and then until the last connection has ended.
///
/// # Errors
///
/// The start fails, or the kernel is out of memory.
pub fn run() -> io::Result<()> {
    let scheduler = Scheduler::new()?;
    let server = Rc::new(Server { scheduler, is_stopping: Cell::new(false) });
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let task = Rc::clone(&server);
    let first = move || {
        if let Err(error) = accept(&task, listener, &stop) {
            eprintln!("the listener cannot be watched: {error}");
            process::exit(1);
        }
    };
    // SAFETY: the body suspends in the scheduler's functions only, and holds no
    // reference to a thread-local variable while it calls one of them.
    unsafe { server.scheduler.spawn(first) }?;
    server.scheduler.run()
}
// ANCHOR_END: run
