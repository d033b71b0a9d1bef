//! A process for each client: what Unix servers did first, and the best isolation there
//! is.
//!
//! The parent accepts, forks, and buries its children. It hardly ever speaks to a client.

use crate::attend::{Welcome, attend};
use crate::children::Children;
use crate::listener::{Accept, Client, Listener};
use crate::options::Options;
use crate::roster::Roster;
use crate::site::Site;
use crate::stop::Stop;
use crate::sys::{self, SingleThreaded};
use crate::trace::{self, trace};
use crate::wait::Timeouts;
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
    let (alone, timeouts) = (SingleThreaded::check()?, options.timeouts());
    let (mut children, mut turned_away) = (Children::new()?, 0);
    loop {
        let client = match listener.accept(stop.as_fd(), Some(children.bell())) {
            Accept::Client(client) => client,
            Accept::Other if children.rang() => {
                children.bury(|(number, welcome), _| {
                    turned_away -= usize::from(welcome == Welcome::TurnedAway);
                    say_goodbye(number, site);
                });
                if children.count() == 0 {
                    // A child that was killed has given nothing back.
                    site.limits.buffered.refill();
                }
                continue;
            }
            Accept::Other => break, // the stop
        };
        site.stats.arrived();
        let served = children.count() - turned_away;
        let welcome = Welcome::to(served, turned_away, options.max_connections);
        if welcome == Welcome::TurnedAwayAtOnce {
            turn_away_at_once(client, site, &timeouts);
            continue;
        }
        trace!("fork", "a process for it");
        match sys::fork(&alone) {
            // Our copy of the socket is closed with this round.
            Ok(Some(child)) => {
                turned_away += usize::from(welcome == Welcome::TurnedAway);
                children.add(child, (client.number, welcome));
            }
            Ok(None) => {
                drop(listener);
                be_child(client, welcome, site, &timeouts);
            }
            // No more processes, for now. Those who have one are served on.
            Err(error) => {
                trace!("fork", "failed: {error}");
                turn_away_at_once(client, site, &timeouts);
            }
        }
    }
    site.drain_all();
    drop(listener); // who comes now is refused by the kernel
    children.drain(timeouts.drain, |(number, _), _| say_goodbye(number, site));
    Ok(())
}
// ANCHOR_END: run

// ANCHOR: child
/// The child's whole life. Its copies of everything end with the process.
fn be_child(client: Client, welcome: Welcome, site: &Site, timeouts: &Timeouts) -> ! {
    let roster = Roster::new(site);
    let place = roster.seat(client.socket, usize::MAX);
    let seat = &place.seat;
    sys::live(seat.socket.as_fd(), &seat.idle, site.draining(), || {
        attend(&place, welcome, site, timeouts)
    })
}
// ANCHOR_END: child

/// The parent's part, when the child is dead.
fn say_goodbye(number: u64, site: &Site) {
    site.stats.left();
    trace::about(number);
    trace!("reap", "its process has ended");
}

/// The parent's one word to a client: it waits for nothing.
fn turn_away_at_once(client: Client, site: &Site, timeouts: &Timeouts) {
    let roster = Roster::new(site);
    attend(
        &roster.seat(client.socket, usize::MAX),
        Welcome::TurnedAwayAtOnce,
        site,
        timeouts,
    );
    site.stats.left();
}
