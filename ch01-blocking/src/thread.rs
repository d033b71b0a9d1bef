//! The server `thread`: a thread for each client. A slow client blocks its own thread only.

use crate::app::site::Site;
use crate::connection::handle_connection;
use crate::server::connections::{Admission, Connections};
use crate::server::listener::{Accept, Listener};
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::trace::{self, trace};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

/// The size of a thread's stack, in bytes of address space. Only pages that are touched
/// take memory.
pub const STACK: usize = 256 * 1024;

// ANCHOR: run
/// Serves clients until a stop is requested through `stop`.
///
/// # Errors
///
/// The server cannot report that it is ready.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let (connections, timeouts) = (Connections::new(site), options.timeouts());
    listener.ready()?;
    thread::scope(|scope| {
        while let Accept::Client(client) = listener.accept(stop.as_fd(), None) {
            site.stats.connection_opened();
            let guard =
                Arc::new(connections.register(client.socket, options.max_connections));
            if guard.admission == Admission::RejectedAtOnce {
                // A connection that is rejected at once never blocks, so it needs no
                // thread.
                handle_connection(&guard, guard.admission, site, &timeouts);
                site.stats.connection_closed();
                continue;
            }
            trace!("thread", "a new one");
            let (theirs, timeouts) = (guard.clone(), &timeouts);
            let spawned =
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                    trace::set_connection(client.number);
                    handle_connection(&theirs, theirs.admission, site, timeouts);
                    site.stats.connection_closed();
                });
            // If the system cannot create a thread now, only this client is rejected.
            if let Err(error) = spawned {
                trace!("thread", "cannot be created: {error}");
                handle_connection(&guard, Admission::RejectedAtOnce, site, timeouts);
                site.stats.connection_closed();
            }
        }
        trace::set_connection(0);
        connections.close();
        site.drain();
        drop(listener); // the kernel refuses further connections
        connections.drain(timeouts.drain);
    });
    Ok(())
}
// ANCHOR_END: run
