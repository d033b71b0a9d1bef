//! The server `iterative`: one client after another.
//!
//! While the server waits for one client, no other client is served, or even accepted:
//! further connections queue in the kernel's backlog until the connection of the first
//! client ends.

use crate::app::site::Site;
use crate::connection::handle_connection;
use crate::server::connections::{Admission, Connections};
use crate::server::listener::{Accept, Listener};
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::trace;
use std::io;
use std::os::fd::AsFd;
use std::thread;

// ANCHOR: run
/// Serves clients until a stop is requested through `stop`.
///
/// # Errors
///
/// The thread that waits for the stop cannot be created, or the server cannot report
/// that it is ready.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let (connections, timeouts) = (Connections::new(site), options.timeouts());
    thread::scope(|scope| {
        // This thread may be blocked in a read when the stop is requested. So another
        // thread, which serves no client, then shuts the connection down.
        thread::Builder::new().spawn_scoped(scope, || {
            stop.wait();
            connections.drain(timeouts.drain);
        })?;
        let ready = listener.ready().inspect_err(|_| stop.request());
        while let Accept::Client(client) = listener.accept(stop.as_fd(), None) {
            // `others` is the number of open connections in other processes: 0 in this
            // chapter, but chapter 2's `prefork` calls `run` in several processes.
            let others = site.stats.connection_opened();
            let admission =
                Admission::decide(others, usize::MAX, options.max_connections);
            let guard = connections.register(client.socket, usize::MAX);
            handle_connection(&guard, admission, site, &timeouts);
            site.stats.connection_closed();
        }
        // The set of connections is closed only after its last connection has ended,
        // because a client that arrived together with the stop signal is still served.
        connections.close();
        trace::set_connection(0);
        drop(listener);
        ready
    })
}
// ANCHOR_END: run
