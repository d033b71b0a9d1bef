//! One client after another: the simplest server there is, and what it costs.
//!
//! While it waits for one client, nobody else is served, not even accepted. They
//! queue in the kernel's backlog until the one in front leaves.

use crate::attend::{Welcome, attend};
use crate::listener::{Accept, Listener};
use crate::options::Options;
use crate::roster::Roster;
use crate::site::Site;
use crate::stop::Stop;
use crate::trace;
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
    let (roster, timeouts) = (Roster::new(site), options.timeouts());
    thread::scope(|scope| {
        // This thread will be waiting for some client when the time comes to stop, so
        // another one has to hang up. It never serves.
        thread::Builder::new().spawn_scoped(scope, || {
            stop.wait();
            roster.drain(timeouts.drain);
        })?;
        while let Accept::Client(client) = listener.accept(stop.as_fd(), None) {
            // The others can only be another process's: see chapter 2.
            let others = site.stats.arrived();
            let welcome = Welcome::to(others, usize::MAX, options.max_connections);
            let place = roster.seat(client.socket, usize::MAX);
            attend(&place, welcome, site, &timeouts);
            site.stats.left();
        }
        roster.close(); // not before: the last client may have come together with the stop
        trace::about(0);
        drop(listener);
        Ok(())
    })
}
// ANCHOR_END: run
