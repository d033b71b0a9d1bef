//! One client after another: the simplest server there is, and what it costs.
//!
//! While it waits for one client, nobody else is served, not even accepted. They
//! queue in the kernel's backlog until the one in front leaves.

use crate::app::site::Site;
use crate::connection::handle_connection;
use crate::server::connections::Admission;
use crate::server::connections::Connections;
use crate::server::listener::{Accept, Listener};
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::trace;
use std::io;
use std::os::fd::AsFd;
use std::thread;

// ANCHOR: run
/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let (connections, timeouts) = (Connections::new(site), options.timeouts());
    thread::scope(|scope| {
        // This thread will be waiting for some client when the time comes to stop, so
        // another one has to hang up. It never serves.
        thread::Builder::new().spawn_scoped(scope, || {
            stop.wait();
            connections.drain(timeouts.drain);
        })?;
        let ready = listener.ready().inspect_err(|_| stop.ask());
        while let Accept::Client(client) = listener.accept(stop.as_fd(), None) {
            // The others can only be another process's: see chapter 2.
            let others = site.stats.connection_opened();
            let admission =
                Admission::decide(others, usize::MAX, options.max_connections);
            let guard = connections.register(client.socket, usize::MAX);
            handle_connection(&guard, admission, site, &timeouts);
            site.stats.connection_closed();
        }
        connections.close(); // not before: the last client may have come together with the stop
        trace::set_connection(0);
        drop(listener);
        ready
    })
}
// ANCHOR_END: run
