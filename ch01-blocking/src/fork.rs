//! The server `fork`: one process per client, as in the first Unix servers. This server
//! isolates its clients from one another better than any other server of the book.
//!
//! The parent accepts connections, forks a child for each, and reaps the children. The
//! parent answers a client only to reject its connection.

use crate::app::site::Site;
use crate::connection::handle_connection;
use crate::deadlines::Timeouts;
use crate::server::children::Children;
use crate::server::connections::{Admission, Connections};
use crate::server::listener::{Accept, Client, Listener};
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::sys;
use crate::server::trace::{self, trace};
use std::io;
use std::os::fd::AsFd;

// ANCHOR: run
/// Serves clients until a stop is requested through `stop`.
///
/// # Errors
///
/// This process has more than one thread ([`sys::fork`]), a pipe cannot be created, or
/// the server cannot report that it is ready.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    sys::require_single_thread()?; // report the error now, not at the first fork
    let timeouts = options.timeouts();
    let (mut children, mut rejected) = (Children::new()?, 0);
    listener.ready()?;
    loop {
        let client = match listener.accept(stop.as_fd(), Some(children.wake_fd())) {
            Accept::Client(client) => client,
            Accept::Woken if children.drain_wakeups() => {
                children.reap(|(number, admission), _| {
                    rejected -= usize::from(admission == Admission::Rejected);
                    on_child_exit(number, site);
                });
                if children.count() == 0 {
                    // A child that was killed has not returned the bytes that it had
                    // claimed from the memory budget. When no child is left, no claim
                    // is valid any longer, and the whole budget is free again.
                    site.limits.buffered.refill();
                }
                continue;
            }
            Accept::Woken => break, // the stop is requested
        };
        site.stats.connection_opened();
        let served = children.count() - rejected;
        let admission = Admission::decide(served, rejected, options.max_connections);
        if admission == Admission::RejectedAtOnce {
            reject_at_once(client, site, &timeouts);
            continue;
        }
        trace!("fork", "a new process");
        match sys::fork() {
            // The parent's copy of the client's socket is closed after this iteration.
            Ok(Some(child)) => {
                rejected += usize::from(admission == Admission::Rejected);
                children.add(child, (client.number, admission));
            }
            Ok(None) => {
                drop(listener);
                run_child(client, admission, site, &timeouts);
            }
            // The system cannot create a process now, so this client is rejected. The
            // existing children go on.
            Err(error) => {
                trace!("fork", "failed: {error}");
                reject_at_once(client, site, &timeouts);
            }
        }
    }
    site.drain_all();
    drop(listener); // the kernel refuses further connections
    children.drain(timeouts.drain, |(number, _), _| on_child_exit(number, site));
    Ok(())
}
// ANCHOR_END: run

// ANCHOR: child
/// Serves one connection in the child process, and exits.
fn run_child(
    client: Client,
    admission: Admission,
    site: &Site,
    timeouts: &Timeouts,
) -> ! {
    let connections = Connections::new(site);
    let guard = connections.register(client.socket, usize::MAX);
    let entry = &guard.entry;
    sys::run_connection_child(entry.socket.as_fd(), &entry.idle, site.draining(), || {
        handle_connection(&guard, admission, site, timeouts)
    })
}
// ANCHOR_END: child

/// Counts connection `number` as closed, because the child that served it has exited.
fn on_child_exit(number: u64, site: &Site) {
    site.stats.connection_closed();
    trace::set_connection(number);
    trace!("reap", "its process has ended");
}

/// Answers a client with 503 and closes, in the parent and without waiting for the
/// client.
fn reject_at_once(client: Client, site: &Site, timeouts: &Timeouts) {
    let connections = Connections::new(site);
    handle_connection(
        &connections.register(client.socket, usize::MAX),
        Admission::RejectedAtOnce,
        site,
        timeouts,
    );
    site.stats.connection_closed();
}
