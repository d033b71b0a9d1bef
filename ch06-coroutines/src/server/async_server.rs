//! The server `async`: chapter 1's code with `.await` at each wait, which the compiler turns into a
//! state machine like chapter 3's.
//!
//! Compare [`coroutine_server`](super::coroutine_server). One task accepts connections and waits
//! for the stop signal; each active connection has a task.

use super::async_serve::{linger, refuse, serve};
use super::async_stream::AsyncStream;
use super::stream::ActiveConnection;
use super::threads::{default_poller, log_failure, run_on_threads};
use super::{Connection, ServerState};
use crate::runtime::{self, Descriptor, Either, Handle, Readiness, Runtime, Task, race};
use ch01_blocking::deadlines::later;
use ch01_blocking::http::{HttpError, Inbox, Outbox};
use ch01_blocking::serve::After;
use ch01_blocking::server::stop::ACCEPT_BACKOFF;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::trace::trace;
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use clap::{Args, value_parser};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The command-line options of the server `async`.
pub type Options = With<Own>;

/// The command-line options that only the server `async` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Futures")]
pub struct Own {
    /// Number of runtimes, each in its own thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

// ANCHOR: run
/// Serves until `stop` is requested, with one runtime for each thread.
///
/// # Errors
///
/// A poller fails, or no descriptors or threads are left.
pub fn run(
    listener: Listener,
    site: &Arc<Site>,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads } } = options;
    run_on_threads(listener, *threads, stop, |listener| {
        run_one(default_poller()?, listener, site, common, stop)
    })
}

/// Serves on this thread until `stop` is requested, with the given poller.
///
/// # Errors
///
/// The errors of [`run`].
pub fn run_one(
    poller: Box<dyn Poller>,
    listener: Listener,
    site: &Arc<Site>,
    options: &Common,
    stop: &Stop,
) -> io::Result<()> {
    let stop = stop.as_fd().try_clone_to_owned()?;
    let main = |handle: Handle| {
        let server = ServerState::new(site, options, &handle, make_worker);
        async move { main_task(server?, listener, stop).await }
    };
    Runtime::new(poller)?
        .run_future(main)?
        .unwrap_or_else(|_| Err(io::Error::other("a task of the server panicked")))
}
// ANCHOR_END: run

// ANCHOR: main
/// The first task: accepts connections until the stop signal, then waits until the open
/// connections have closed or the drain deadline has passed. When this task ends, all
/// remaining tasks are dropped.
async fn main_task(
    server: Rc<ServerState>,
    listener: Listener,
    stop: OwnedFd,
) -> io::Result<()> {
    let handle = &server.handle;
    {
        let listener = handle.register(listener, Interest::ACCEPT)?;
        listener.get().ready()?;
        let accepting = pin!(accept(&server, &listener));
        let stopped = pin!(stopped(stop, handle));
        let (Either::First(end) | Either::Second(end)) = race(accepting, stopped).await;
        end.inspect_err(log_failure)?;
    } // drops both futures and the listener: the kernel refuses new connections
    server.begin_drain();
    let due = later(Instant::now(), server.timeouts.drain);
    let all_closed = poll_fn(|_| {
        server.draining.set(handle.current());
        if server.open.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
    });
    if let Either::Second(()) = race(all_closed, handle.sleep_until(due)).await {
        trace!("stop", "{} connections cut off", server.open.get());
    }
    Ok(())
}

/// Accepts connections until this future is dropped.
async fn accept(
    server: &Rc<ServerState>,
    listener: &Descriptor<Listener>,
) -> io::Result<()> {
    let handle = &server.handle;
    loop {
        match server.accept_batch(listener.get()) {
            Ok(true) => runtime::yield_now().await, // let the accepted connections run
            Ok(false) => {
                listener.would_block(Readiness::Readable);
                listener.ready(Readiness::Readable).await?;
            }
            Err(_) => {
                // Accepting pauses by a wait for the readiness `Closed`, not by a
                // sleep. During this wait the listener is registered without `ACCEPT`;
                // during a sleep the poller would report waiting clients again and
                // again.
                let due = handle.now() + ACCEPT_BACKOFF;
                listener.ready_by(Readiness::Closed, due).await?;
            }
        }
    }
}

/// Waits until the stop is requested.
async fn stopped(stop: OwnedFd, handle: &Handle) -> io::Result<()> {
    let stop = handle.register(stop, Interest::READ)?;
    while !is_readable(&[stop.get().as_fd()], Some(Duration::ZERO))[0] {
        stop.would_block(Readiness::Readable);
        stop.ready(Readiness::Readable).await?;
    }
    Ok(())
}
// ANCHOR_END: main

// ANCHOR: worker
/// Spawns a worker: a future that serves one connection after another.
fn make_worker(server: &Rc<ServerState>) -> io::Result<Token> {
    Ok(server.handle.add(Task::Future(Box::pin(worker(server.clone())))))
}

/// Serves the connection in `ServerState::handed`, and then further ones, which are
/// handed to the worker in the same way. The worker ends when enough other workers are
/// idle.
async fn worker(server: Rc<ServerState>) {
    let mut inbox = Inbox::new();
    let mut outbox = Outbox::new(server.site.limits.output);
    loop {
        let handed = poll_fn(|_| match server.handed.take() {
            None => Poll::Pending,
            Some(connection) => Poll::Ready(connection),
        });
        handle_connection(&server, handed.await, &mut inbox, &mut outbox).await;
        if !server.keeps_worker() {
            return;
        }
    }
}
// ANCHOR_END: worker

// ANCHOR: handle_connection
/// Serves a connection until it is idle or has ended.
///
/// This function is not an `async fn`, whose future would store the connection twice,
/// as the argument and as the variable. An `async` block stores a captured value once.
fn handle_connection(
    server: &ServerState,
    connection: Connection,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
) -> impl Future<Output = ()> {
    trace!("begin", "a future of {} bytes", future_size());
    let mut stream = AsyncStream(ActiveConnection::new(connection));
    async move {
        let after = match stream.0.connection.served {
            true => serve(&mut stream, &server.site, inbox, outbox).await,
            false => refuse(HttpError::BUSY, &mut stream, &server.site, outbox).await,
        };
        let ended = match after {
            Ok(After::Linger) => linger(&mut stream, inbox).await,
            Ok(After::Close) => Ok(()),
            Ok(After::Idle) => return stream.0.connection.store_idle(true),
            // No bytes of a request have arrived, so the connection is idle again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return stream.0.connection.store_idle(false);
            }
            Err(error) => Err(error),
        };
        server.log_close(ended);
        // Frees the worker's buffers: a client that never reads may have left them
        // full.
        (*inbox, *outbox) = (Inbox::new(), Outbox::new(server.site.limits.output));
    }
}
// ANCHOR_END: handle_connection

/// Returns the size of a worker's future in bytes.
pub fn future_size() -> usize {
    fn returned<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }
    returned(worker)
}
