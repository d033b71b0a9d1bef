//! A process for each client: what Unix servers did first, and the best isolation there
//! is.
//!
//! The parent accepts, forks, and buries its children. It never speaks to a client.

use crate::attend::{Welcome, attend};
use crate::listener::{Accept, Client, Listener};
use crate::options::Options;
use crate::roster::Roster;
use crate::site::Site;
use crate::stop::{Stop, is_readable};
use crate::sys::{self, Pid, Signal, SingleThreaded};
use crate::trace::{self, trace};
use crate::wait::Timeouts;
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

// ANCHOR: run
/// Serves until `stop`. Only from a process with one thread: see [`sys::fork`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let (alone, timeouts) = (SingleThreaded::check()?, options.timeouts());
    let mut children = Children::new()?;
    loop {
        let client = match listener.accept(stop.as_fd(), Some(children.bell.as_fd())) {
            Accept::Client(client) => client,
            Accept::Other if children.rang() => {
                children.bury(site);
                continue;
            }
            Accept::Other => break, // the stop
        };
        site.stats.accepted.add();
        let welcome = children.welcome(options.max_connections);
        if welcome == Welcome::TurnedAwayAtOnce {
            turn_away_at_once(client, site, &timeouts);
            continue;
        }
        trace!("fork", "a process for it");
        match sys::fork(&alone) {
            // Our copy of the socket is closed with this round.
            Ok(Some(child)) => children.add(child, client.number, welcome),
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
    drop(listener); // who comes now is refused by the kernel
    children.drain(site, timeouts.drain);
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

/// The parent's one word to a client: it waits for nothing.
fn turn_away_at_once(client: Client, site: &Site, timeouts: &Timeouts) {
    let roster = Roster::new(site);
    attend(
        &roster.seat(client.socket, usize::MAX),
        Welcome::TurnedAwayAtOnce,
        site,
        timeouts,
    );
    site.stats.closed.add();
}

/// The processes that serve, and a pipe that SIGCHLD rings.
struct Children {
    /// Each with the number of its client, and how welcome that is.
    living: HashMap<Pid, (u64, Welcome)>,
    turned_away: usize,
    bell: OwnedFd,
}

impl Children {
    fn new() -> io::Result<Children> {
        let (bell, rope) = sys::pipe()?;
        sys::write_on_signals(rope, &[Signal::SIGCHLD])?;
        Ok(Children { living: HashMap::new(), turned_away: 0, bell })
    }

    fn welcome(&self, most: usize) -> Welcome {
        Welcome::to(self.living.len() - self.turned_away, self.turned_away, most)
    }

    fn add(&mut self, child: Pid, number: u64, welcome: Welcome) {
        self.turned_away += usize::from(welcome == Welcome::TurnedAway);
        self.living.insert(child, (number, welcome));
    }

    /// Whether a child has died, silencing the bell. First this, then
    /// [`bury`](Children::bury): a child that dies in between rings again.
    fn rang(&self) -> bool {
        let mut rings = [0; 64];
        let mut rang = false;
        while matches!(nix::unistd::read(&self.bell, &mut rings), Ok(n) if n > 0) {
            rang = true;
        }
        rang
    }

    // ANCHOR: bury
    /// Reaps the dead. One SIGCHLD may stand for many: signals do not queue.
    fn bury(&mut self, site: &Site) {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            let Some(child) = status.pid() else { break }; // nobody else is dead
            if let Some((number, welcome)) = self.living.remove(&child) {
                self.turned_away -= usize::from(welcome == Welcome::TurnedAway);
                site.stats.closed.add();
                trace::about(number);
                trace!("reap", "its process has ended");
            }
        }
        if self.living.is_empty() {
            // A child that was killed has given nothing back.
            site.limits.buffered.refill();
        }
    }
    // ANCHOR_END: bury

    /// Tells everybody to finish, and ends those who do not.
    fn drain(&mut self, site: &Site, within: Duration) {
        let deadline = Instant::now() + within;
        trace::about(0);
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            self.living.len(),
            within.as_secs_f64()
        );
        self.signal(Signal::SIGTERM);
        self.bury(site);
        while !self.living.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                trace!("stop", "{} connections cut off", self.living.len());
                self.signal(Signal::SIGKILL);
                for &child in self.living.keys() {
                    let _ = waitpid(child, None); // it cannot have been reaped before
                }
                return;
            }
            is_readable(&[self.bell.as_fd()], Some(left));
            self.rang();
            self.bury(site);
        }
    }

    fn signal(&self, signal: Signal) {
        for &child in self.living.keys() {
            // Not reaped yet, so the number is still its own.
            let _ = sys::kill(child, signal);
        }
    }
}
