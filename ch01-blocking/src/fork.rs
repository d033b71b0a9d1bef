//! A process for each client: what Unix servers did first, and the best isolation there
//! is.
//!
//! The parent accepts, forks, and buries its children. It hardly ever speaks to a client.

use crate::app::site::Site;
use crate::connection::handle_connection;
use crate::deadlines::Timeouts;
use crate::server::children::Children;
use crate::server::connections::Admission;
use crate::server::connections::Connections;
use crate::server::listener::{Accept, Client, Listener};
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::sys;
use crate::server::trace::{self, trace};
use std::io;
use std::os::fd::AsFd;

// ANCHOR: run
/// Serves until `stop`. Only from a process with one thread: see [`sys::fork`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    sys::require_single_thread()?; // rather now than at each client's fork
    let timeouts = options.timeouts();
    let (mut children, mut rejected) = (Children::new()?, 0);
    listener.ready()?;
    loop {
        let client = match listener.accept(stop.as_fd(), Some(children.wake_fd())) {
            Accept::Client(client) => client,
            Accept::Other if children.drain_wakeups() => {
                children.reap(|(number, admission), _| {
                    rejected -= usize::from(admission == Admission::Rejected);
                    on_child_exit(number, site);
                });
                if children.count() == 0 {
                    // A child that was killed has given nothing back.
                    site.limits.buffered.refill();
                }
                continue;
            }
            Accept::Other => break, // the stop
        };
        site.stats.connection_opened();
        let served = children.count() - rejected;
        let admission = Admission::decide(served, rejected, options.max_connections);
        if admission == Admission::RejectedAtOnce {
            reject_at_once(client, site, &timeouts);
            continue;
        }
        trace!("fork", "a process for it");
        match sys::fork() {
            // Our copy of the socket is closed with this round.
            Ok(Some(child)) => {
                rejected += usize::from(admission == Admission::Rejected);
                children.add(child, (client.number, admission));
            }
            Ok(None) => {
                drop(listener);
                run_child(client, admission, site, &timeouts);
            }
            // No more processes, for now. Those who have one are served on.
            Err(error) => {
                trace!("fork", "failed: {error}");
                reject_at_once(client, site, &timeouts);
            }
        }
    }
    site.drain_all();
    drop(listener); // who comes now is refused by the kernel
    children.drain(timeouts.drain, |(number, _), _| on_child_exit(number, site));
    Ok(())
}
// ANCHOR_END: run

// ANCHOR: child
/// The child's whole life. Its copies of everything end with the process.
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

/// The parent's part, when the child is dead.
fn on_child_exit(number: u64, site: &Site) {
    site.stats.connection_closed();
    trace::set_connection(number);
    trace!("reap", "its process has ended");
}

/// The parent's one word to a client: it waits for nothing.
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
