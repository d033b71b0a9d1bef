//! The server `pool`: a fixed number of threads, which take accepted connections from a queue.

use crate::options::With;
use crate::queue::Queue;
use ch01_blocking::connection::handle_connection;
use ch01_blocking::server::connections::{Admission, ConnectionGuard, Connections};
use ch01_blocking::server::listener::{Accept, Listener};
use ch01_blocking::server::sys;
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Site, Stop, thread::STACK};
use clap::{Args, ValueEnum, value_parser};
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::{self, Scope};

/// The options of `pool`.
pub type Options = With<ServerArgs>;

/// The options that only `pool` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workers")]
pub struct ServerArgs {
    /// Number of threads, each with one client at a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "16")]
    threads: u16,
    /// Maximum number of accepted clients that wait for a thread
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: u16,
    /// What happens when no thread is free and the queue is full
    #[arg(long, value_enum, default_value = "wait")]
    when_busy: WhenBusy,
}

/// The treatment of a client when no thread is free and the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenBusy {
    /// Leave the client in the kernel's backlog, not accepted
    Wait,
    /// Accept the client, and answer 503 at once
    Refuse,
}

// ANCHOR: run
/// Serves clients until a stop is requested through `stop`.
///
/// # Errors
///
/// A thread cannot be created, or the server cannot report that it is ready.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own } = options;
    let (connections, timeouts) = (Connections::new(site), common.timeouts());
    let queue = Queue::new(own.threads.into(), own.queue.into());
    let serve = |worker: u16, (guard, number): (ConnectionGuard<'_>, u64)| {
        trace::set_connection(number);
        trace!("worker", "{worker} serves it");
        handle_connection(&guard, Admission::Admitted, site, &timeouts);
        site.stats.connection_closed();
        trace!("worker", "{worker} is free");
    };
    thread::scope(|scope| {
        for worker in 1..=own.threads {
            let (queue, serve) = (&queue, &serve);
            let worker_main = move || queue.work(|client| serve(worker, client));
            if let Err(error) = spawn(scope, worker_main) {
                queue.close(); // ends the workers that exist already
                return Err(too_many(worker.into(), own.threads.into(), &error));
            }
        }
        // This thread may be waiting for room in the queue, and then does not notice
        // the stop. So another thread waits for the stop.
        spawn(scope, || {
            stop.wait();
            queue.end();
        })
        .inspect_err(|_| queue.close())?;
        let ready = listener.ready().inspect_err(|_| stop.request());
        while own.when_busy == WhenBusy::Refuse || queue.wait_for_room() {
            let Accept::Client(client) = listener.accept(stop.as_fd(), None) else {
                break;
            };
            site.stats.connection_opened();
            let guard = connections.register(client.socket, common.max_connections);
            if guard.admission != Admission::Admitted || queue.is_full() {
                handle_connection(&guard, Admission::RejectedAtOnce, site, &timeouts);
                site.stats.connection_closed();
            } else {
                trace!("queue", "waits for a worker");
                queue.put((guard, client.number));
            }
        }
        // The queue of jobs is closed only after the loop, which may have queued a
        // connection that arrived together with the stop.
        queue.close();
        connections.close();
        trace::set_connection(0);
        site.drain();
        drop(listener); // the kernel refuses further connections
        connections.drain(timeouts.drain); // queued connections are still served
        ready
    })
}
// ANCHOR_END: run

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    main: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    let _claim = sys::claim_memory(0)?;
    let (begun, has_begun) = mpsc::channel::<()>();
    let main = move || {
        drop(begun);
        main();
    };
    thread::Builder::new().stack_size(STACK).spawn_scoped(scope, main)?;
    // A new thread allocates memory when it begins to run. This function returns only
    // after that, so that the next call to `claim_memory` counts this memory as used.
    let _ = has_begun.recv();
    Ok(())
}

/// Returns the error for a server that needs `wanted` threads and cannot create one of
/// them: `made` is the number of that thread, counted from 1. Continuing with fewer
/// threads would hide the problem until the load is high.
pub fn too_many(made: usize, wanted: usize, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "thread {made} of {wanted} cannot be created ({error}); ask for fewer with --threads"
    ))
}
