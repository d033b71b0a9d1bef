// ANCHOR: head
//! A future for each client on one thread.
//!
//! Left out are fairness (a client that sends without pause is served without pause), a
//! limit on the number of connections, and a deadline for the stop.

use super::executor::{Executor, Sleep, Watched, until, yield_now};
use ch01_blocking::small::deadline::{IDLE_TIME, TIME};
use ch01_blocking::small::{self, MAX_OUTPUT, Parsed, Response, parse, respond, signals};
use nix::sys::signal::Signal;
use std::cell::Cell;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Instant;

// ANCHOR_END: head
// ANCHOR: stream
/// The state that all tasks share.
struct Server {
    executor: Rc<Executor>,
    is_stopping: Cell<bool>,
}

/// A socket with the deadlines of chapter 1's `DeadlineStream`.
struct AsyncStream {
    server: Rc<Server>,
    socket: Watched<TcpStream>,
    /// The deadline for the rest of the request; `None` before its first byte.
    deadline: Option<Instant>,
}

impl AsyncStream {
    /// Reads once, and appends the bytes to `inbox`. Returns their number; 0 is the end
    /// of file.
    async fn read(&mut self, inbox: &mut Vec<u8>) -> io::Result<usize> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + IDLE_TIME);
        let read = self.socket.attempt(|mut socket| {
            let mut buffer = [0; 16 * 1024]; // not kept while the task waits
            match socket.read(&mut buffer) {
                // After the stop, the task does not wait for further bytes.
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock
                        && self.server.is_stopping.get() =>
                {
                    Ok(0)
                }
                Ok(n) => {
                    inbox.extend_from_slice(&buffer[..n]);
                    Ok(n)
                }
                error => error,
            }
        });
        let late = Sleep::until(&self.server.executor, deadline);
        let n = until(late, read).await.ok_or(ErrorKind::TimedOut)??;
        self.deadline.get_or_insert_with(|| Instant::now() + TIME);
        Ok(n)
    }

    /// Sends everything in `outbox`, and empties it. Makes no system call if `outbox`
    /// is empty.
    async fn send(&mut self, outbox: &mut Vec<u8>) -> io::Result<()> {
        let mut sent = 0;
        while sent < outbox.len() {
            self.deadline = None; // the next read sets a new deadline
            let rest = &outbox[sent..];
            let write = self.socket.attempt(|mut socket| socket.write(rest));
            let late = Sleep::until(&self.server.executor, Instant::now() + TIME);
            sent += until(late, write).await.ok_or(ErrorKind::TimedOut)??;
        }
        outbox.clear();
        Ok(())
    }
}

// ANCHOR_END: stream
// ANCHOR: serve
/// Chapter 1's small `serve`, with an `await` at each wait.
async fn serve(stream: &mut AsyncStream) -> io::Result<()> {
    let (mut inbox, mut outbox) = (Vec::new(), Vec::new());
    loop {
        match stream.read(&mut inbox).await {
            Ok(0) if inbox.is_empty() => return Ok(()),
            Ok(0) => return refuse(stream, &inbox, 400, "the request has no end").await,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::TimedOut && !inbox.is_empty() => {
                return refuse(stream, &inbox, 408, "the request took too long").await;
            }
            Err(error) => return Err(error),
        }
        loop {
            match parse(&inbox) {
                Parsed::Complete(request, length) => {
                    let response = respond(&request);
                    if !response.delay.is_zero() {
                        stream.send(&mut outbox).await?;
                        let end = Instant::now() + response.delay;
                        Sleep::until(&stream.server.executor, end).await;
                    }
                    let (is_head, keep_alive) = (request.is_head(), request.keep_alive);
                    response.write(&mut outbox, is_head, keep_alive);
                    if !keep_alive {
                        return stream.send(&mut outbox).await;
                    }
                    inbox.drain(..length);
                    if outbox.len() >= MAX_OUTPUT {
                        stream.send(&mut outbox).await?;
                    }
                }
                Parsed::Partial => break,
                Parsed::Refused(status, why) => {
                    stream.send(&mut outbox).await?;
                    return refuse(stream, &inbox, status, why).await;
                }
            }
        }
        stream.send(&mut outbox).await?;
    }
}

/// Sends a refusal, the last answer of a connection.
async fn refuse(
    stream: &mut AsyncStream,
    inbox: &[u8],
    status: u16,
    why: &str,
) -> io::Result<()> {
    let mut outbox = Vec::new();
    Response::error(status, why).write(&mut outbox, inbox.starts_with(b"HEAD "), false);
    stream.send(&mut outbox).await
}

// ANCHOR_END: serve
// ANCHOR: accept
/// The first task: accepts clients until there is a byte in the pipe `stop`.
async fn accept(
    server: Rc<Server>,
    listener: Watched<TcpListener>,
    stop: Watched<PipeReader>,
) {
    let stopped = stop.attempt(|pipe| match signals::take(pipe) {
        true => Ok(()),
        false => Err(ErrorKind::WouldBlock.into()),
    });
    until(stopped, accept_all(&server, listener)).await;
    // The accepting future has been dropped, and the listener with it: further
    // connections are refused.
    server.is_stopping.set(true);
    server.executor.wake_all();
}

/// Accepts clients until this future is dropped.
async fn accept_all(server: &Rc<Server>, listener: Watched<TcpListener>) {
    loop {
        match listener.attempt(TcpListener::accept).await {
            Ok((socket, _)) => {
                let server = Rc::clone(server);
                server.executor.clone().spawn(async move {
                    // An error of a connection is caused by the client or the network,
                    // and ends this connection only.
                    let _ = handle_connection(server, socket).await;
                });
                yield_now().await; // other tasks run between two accepts
            }
            // The error is usually EMFILE: no descriptor is left. The client waits in
            // the backlog during the pause.
            Err(_) => {
                let end = Instant::now() + signals::PAUSE;
                Sleep::until(&server.executor, end).await;
            }
        }
    }
}

// ANCHOR_END: accept
// ANCHOR: run
/// The task of one client: serves the client until the connection ends.
async fn handle_connection(server: Rc<Server>, socket: TcpStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let socket = Watched::new(&server.executor, socket)?;
    serve(&mut AsyncStream { server, socket, deadline: None }).await
}

/// Serves until SIGTERM or SIGINT, and then until the last connection has ended.
///
/// # Errors
///
/// The start fails, or the kernel is out of memory.
pub fn run() -> io::Result<()> {
    let executor = Rc::new(Executor::new()?);
    let stop = signals::pipe_of(&[Signal::SIGTERM, Signal::SIGINT])?;
    let stop = Watched::new(&executor, stop)?;
    let listener = small::listen()?;
    listener.set_nonblocking(true)?;
    let listener = Watched::new(&executor, listener)?;
    let is_stopping = Cell::new(false);
    let server = Rc::new(Server { executor: executor.clone(), is_stopping });
    executor.spawn(accept(server, listener, stop));
    executor.run()
}
// ANCHOR_END: run
