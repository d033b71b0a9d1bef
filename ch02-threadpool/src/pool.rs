//! Threads that are made once: they take turns at the clients.

use crate::options::With;
use crate::queue::Queue;
use ch01_blocking::connection::handle_connection;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::connections::{ConnectionGuard, Connections};
use ch01_blocking::server::listener::{Accept, Listener};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Site, Stop, thread::STACK};
use clap::{Args, ValueEnum, value_parser};
use std::io;
use std::os::fd::AsFd;
use std::thread::{self, Scope};

/// What a pool is told at its start.
pub type Options = With<Own>;

/// What only a pool is told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workers")]
pub struct Own {
    /// Threads, each with one client at a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "16")]
    threads: u16,
    /// Accepted clients that may wait for a thread
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: u16,
    /// What becomes of a client for whom there is no thread and no place in the queue
    #[arg(long, value_enum, default_value = "wait")]
    when_busy: WhenBusy,
}

/// What becomes of a client that comes when everybody is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenBusy {
    /// It waits in the kernel's backlog, not accepted
    Wait,
    /// It is answered 503 at once
    Refuse,
}

// ANCHOR: run
/// Serves until `stop`.
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
        trace!("worker", "{worker} takes it");
        handle_connection(&guard, Admission::Admitted, site, &timeouts);
        site.stats.connection_closed();
        trace!("worker", "{worker} is free");
    };
    thread::scope(|scope| {
        for worker in 1..=own.threads {
            let (queue, serve) = (&queue, &serve);
            let life = move || queue.work(|client| serve(worker, client));
            if let Err(error) = spawn(scope, life) {
                queue.close(); // for those that there are
                return Err(too_many(worker.into(), own.threads.into(), &error));
            }
        }
        // Who waits for room in the queue does not hear the stop: somebody else has to.
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
                trace!("queue", "it waits for a worker");
                queue.put((guard, client.number));
            }
        }
        // Not before: the last client may have come together with the stop.
        queue.close();
        connections.close();
        trace::set_connection(0);
        site.drain();
        drop(listener); // who comes now is refused by the kernel
        connections.drain(timeouts.drain); // who is in the queue is served yet
        ready
    })
}
// ANCHOR_END: run

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    life: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    thread::Builder::new().stack_size(STACK).spawn_scoped(scope, life).map(drop)
}

/// A server with fewer workers than it was told would fail later, and where nobody looks.
pub fn too_many(made: usize, wanted: usize, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "thread {made} of {wanted} cannot be made ({error}); ask for fewer with --threads"
    ))
}
