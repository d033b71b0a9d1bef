//! A thread for each client: each may wait as long as it likes, and only its own thread
//! waits with it.

use crate::attend::{Welcome, attend};
use crate::listener::{Accept, Listener};
use crate::options::Options;
use crate::roster::Roster;
use crate::site::Site;
use crate::stop::Stop;
use crate::trace::{self, trace};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

/// Address space for a thread's stack; memory is only taken for the pages that are
/// touched.
pub const STACK: usize = 256 * 1024;

// ANCHOR: run
/// Serves until `stop`.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let (roster, timeouts) = (Roster::new(site), options.timeouts());
    thread::scope(|scope| {
        while let Accept::Client(client) = listener.accept(stop.as_fd(), None) {
            site.stats.arrived();
            let place = Arc::new(roster.seat(client.socket, options.max_connections));
            if place.welcome == Welcome::TurnedAwayAtOnce {
                attend(&place, place.welcome, site, &timeouts); // waits for nothing
                site.stats.left();
                continue;
            }
            trace!("thread", "one for it");
            let (theirs, timeouts) = (place.clone(), &timeouts);
            let spawned =
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                    trace::about(client.number);
                    attend(&theirs, theirs.welcome, site, timeouts);
                    site.stats.left();
                });
            // No more threads, for now. Those who have one are served on.
            if let Err(error) = spawned {
                trace!("thread", "none to be had: {error}");
                attend(&place, Welcome::TurnedAwayAtOnce, site, timeouts);
                site.stats.left();
            }
        }
        trace::about(0);
        roster.close();
        site.drain();
        drop(listener); // who comes now is refused by the kernel
        roster.drain(timeouts.drain);
    });
    Ok(())
}
// ANCHOR_END: run
