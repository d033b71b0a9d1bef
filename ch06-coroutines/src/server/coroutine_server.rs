//! The server `coroutine`: chapter 1's code on coroutines, with chapter 5's poller.
//!
//! Each coroutine reads like code of chapter 1: one accepts connections, one waits for the stop
//! signal, and each active connection has one. Where chapter 1 blocks, a coroutine parks, so one
//! thread runs all of them.

use super::stream::{ActiveConnection, ParkingStream};
use super::threads::{default_poller, log_failure, run_on_threads};
use super::{Connection, ServerState};
use crate::runtime::{Descriptor, Handle, Readiness, Runtime};
use crate::stack::StackPool;
use ch01_blocking::deadlines::later;
use ch01_blocking::http::{HttpError, Inbox, Outbox};
use ch01_blocking::serve;
use ch01_blocking::serve::{After, linger, refuse};
use ch01_blocking::server::stop::ACCEPT_BACKOFF;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Listener, Options as Common, Site, Stop};
use ch02_threadpool::options::With;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use clap::{Args, value_parser};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The command-line options of the server `coroutine`.
pub type Options = With<Own>;

/// The command-line options that only the server `coroutine` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Coroutines")]
pub struct Own {
    /// Number of runtimes, each in its own thread [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Bytes of a coroutine's stack; only pages that are touched take memory
    #[arg(long, value_name = "SIZE", default_value_t = StackPool::DEFAULT_SIZE)]
    stack: usize,
}

// ANCHOR: run
/// Serves until `stop` is requested, with one runtime for each thread.
///
/// # Errors
///
/// A poller fails, or no descriptors, threads or stacks are left.
pub fn run(
    listener: Listener,
    site: &Arc<Site>,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own: Own { threads, stack } } = options;
    run_on_threads(listener, *threads, stop, |listener| {
        run_one(default_poller()?, listener, site, common, *stack, stop)
    })
}

/// Serves on this thread until `stop` is requested, with the given poller, and stacks
/// of `stack` bytes.
///
/// # Errors
///
/// The errors of [`run`].
#[allow(unsafe_code)]
pub fn run_one(
    poller: Box<dyn Poller>,
    listener: Listener,
    site: &Arc<Site>,
    options: &Common,
    stack: usize,
    stop: &Stop,
) -> io::Result<()> {
    let runtime = Runtime::with_stacks(poller, StackPool::new(stack)?)?;
    let (site, options) = (site.clone(), options.clone());
    let stop = stop.as_fd().try_clone_to_owned()?;
    let main = move |handle: &Handle| {
        let server = ServerState::new(&site, &options, handle, make_worker)?;
        main_task(&server, listener, stop)
    };
    // SAFETY: the coroutines of this file suspend in `main_task`, `accept`,
    // `await_stop`, `worker` and the methods of `ParkingStream`, none of which is
    // called from a thread-local's initializer or destructor. Code of the application
    // runs on all of these stacks and cannot suspend: it has no handle, and `suspend`
    // panics in a coroutine of a runtime.
    unsafe { runtime.run_coroutine(main) }?
        .unwrap_or_else(|_| Err(io::Error::other("a coroutine of the server panicked")))
}
// ANCHOR_END: run

// ANCHOR: main
/// The first coroutine: accepts connections until the server stops, then waits until
/// the open connections have closed or the drain deadline has passed. When this task
/// ends, all remaining coroutines are unwound.
#[allow(unsafe_code)]
fn main_task(
    server: &Rc<ServerState>,
    listener: Listener,
    stop: OwnedFd,
) -> io::Result<()> {
    let handle = &server.handle;
    let stop = handle.register(stop, Interest::READ)?;
    let stops = server.clone();
    // SAFETY: `await_stop` suspends in `Descriptor::wait` only, which is not called
    // from a thread-local's initializer or destructor.
    unsafe { handle.spawn_coroutine(move |_| await_stop(&stops, &stop)) }?;
    let listener = handle.register(listener, Interest::ACCEPT)?;
    listener.get().ready()?;
    accept(server, &listener).inspect_err(log_failure)?;
    drop(listener); // from now on the kernel refuses connections
    server.draining.set(handle.current());
    let deadline = later(Instant::now(), server.timeouts.drain);
    while server.open.get() > 0 && handle.now() < deadline {
        handle.park(Some(deadline));
    }
    if server.open.get() > 0 {
        trace!("stop", "{} connections cut off", server.open.get());
    }
    if trace::is_on() {
        let (most, depth) = handle.stacks_used().unwrap_or_default();
        trace!("stacks", "{most} in use at most, {depth} bytes of one touched at most");
    }
    Ok(())
}

/// The second coroutine: waits for the stop signal, and then begins the shutdown.
fn await_stop(server: &ServerState, stop: &Descriptor<OwnedFd>) {
    while !is_readable(&[stop.get().as_fd()], Some(Duration::ZERO))[0]
        && stop.wait(Readiness::Readable, None).is_ok()
    {}
    server.begin_drain();
}
// ANCHOR_END: main

// ANCHOR: accept
/// Accepts connections until the server stops.
fn accept(server: &Rc<ServerState>, listener: &Descriptor<Listener>) -> io::Result<()> {
    let handle = &server.handle;
    while !server.site.is_draining() {
        match server.accept_batch(listener.get()) {
            Ok(true) => {}
            Ok(false) => drop(listener.wait(Readiness::Readable, None)?),
            Err(_) => {
                // Accepting pauses by a wait for the readiness `Closed`, not by a
                // sleep. During this wait the listener is registered without `ACCEPT`;
                // during a sleep the poller would report waiting clients again and
                // again.
                listener.wait(Readiness::Closed, Some(handle.now() + ACCEPT_BACKOFF))?;
            }
        }
        handle.yield_now(); // let the accepted connections run
    }
    Ok(())
}
// ANCHOR_END: accept

// ANCHOR: worker
/// Creates a worker: a coroutine that serves one connection after another.
#[allow(unsafe_code)]
fn make_worker(server: &Rc<ServerState>) -> io::Result<Token> {
    let theirs = server.clone();
    // SAFETY: `worker` suspends in `park` and in the methods of `ParkingStream` only,
    // none of which is called from a thread-local's initializer or destructor.
    unsafe { server.handle.add_coroutine(move || worker(&theirs)) }
}

/// Serves the connection in `ServerState::handed`, and then further ones, which are
/// handed to the worker in the same way. Between two connections the worker parks and
/// keeps its stack. The worker ends when enough other workers are idle.
fn worker(server: &ServerState) {
    let mut inbox = Inbox::new();
    let mut outbox = Outbox::new(server.site.limits.output);
    loop {
        match server.handed.take() {
            None => drop(server.handle.park(None)),
            Some(connection) => {
                handle_connection(server, connection, &mut inbox, &mut outbox);
                if !server.keeps_worker() {
                    return;
                }
            }
        }
    }
}
// ANCHOR_END: worker

// ANCHOR: handle_connection
/// Serves a connection until it is idle or has ended, and then returns, so that the
/// worker can serve another connection. In chapter 1, `handle_connection` occupies its
/// thread while the connection is idle.
fn handle_connection(
    server: &ServerState,
    connection: Connection,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
) {
    trace!("begin", "a coroutine, with a stack");
    let served = connection.served;
    let mut stream = ParkingStream(ActiveConnection::new(connection));
    let after = match served {
        true => serve(&mut stream, &server.site, inbox, outbox),
        false => refuse(HttpError::BUSY, &mut stream, &server.site, outbox),
    };
    let ended = match after {
        Ok(After::Idle) => return stream.0.connection.store_idle(true),
        Ok(After::Linger) => linger(&mut stream, inbox),
        Ok(After::Close) => Ok(()),
        // No bytes of a request have arrived, so the connection is idle again.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            return stream.0.connection.store_idle(false);
        }
        Err(error) => Err(error),
    };
    server.log_close(ended);
    // Frees the worker's buffers: a client that never reads may have left them full.
    (*inbox, *outbox) = (Inbox::new(), Outbox::new(server.site.limits.output));
}
// ANCHOR_END: handle_connection
