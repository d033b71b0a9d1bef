//! What a thread, or a process, does for its client: all of it, from hello to goodbye.

use crate::http::{Inbox, Outbox, Refusal};
use crate::roster::Place;
use crate::serve::{After, linger, refuse, serve};
use crate::site::Site;
use crate::stream::{Blocking, Transport};
use crate::trace::trace;
use crate::wait::Timeouts;
use std::io::{self, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Beyond the connection limit, so many clients at once are told so with all
/// courtesy, which takes a thread or a process each; the others hear it in passing.
const TURNING_AWAY: usize = 32;

/// What becomes of a client that has just arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// It is served.
    Served,
    /// There is no room. It is told so, and given the time to hear it.
    TurnedAway,
    /// Nor is anybody free to wait until it has heard.
    TurnedAwayAtOnce,
}

impl Welcome {
    /// Depends on how many are here, of each kind. Who is only being turned away takes
    /// nobody's place: otherwise those who come in vain would keep the place full.
    pub fn to(served: usize, turned_away: usize, most: usize) -> Welcome {
        match () {
            () if served < most => Welcome::Served,
            () if turned_away < TURNING_AWAY => Welcome::TurnedAway,
            () => Welcome::TurnedAwayAtOnce,
        }
    }
}

/// Serves a client until it leaves, or has to; or tells it that there is no room.
pub fn attend(place: &Place<'_>, welcome: Welcome, site: &Site, timeouts: &Timeouts) {
    // What panics in here would be our mistake, not the application's (`Site::respond`
    // catches those). It ends this connection and no other.
    let talk = AssertUnwindSafe(|| talk(place, welcome, site, timeouts));
    match catch_unwind(talk) {
        Ok(Ok(())) => trace!("close", "done"),
        Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => {
            site.stats.timeouts.add();
            trace!("close", "out of patience");
        }
        // The client's doing, and of no interest otherwise.
        Ok(Err(error)) => trace!("close", "{error}"),
        Err(_) => trace!("close", "a mistake of the server's"),
    }
}

fn talk(
    place: &Place<'_>,
    welcome: Welcome,
    site: &Site,
    timeouts: &Timeouts,
) -> io::Result<()> {
    let mut stream = Blocking::new(place, timeouts)?;
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(site.limits.output));
    let last = match welcome {
        Welcome::Served => loop {
            match serve(&mut stream, site, &mut inbox, &mut outbox)? {
                After::Idle => {}
                last => break last,
            }
        },
        Welcome::TurnedAway | Welcome::TurnedAwayAtOnce => {
            refuse(Refusal::BUSY, &mut stream, site, &mut outbox)?
        }
    };
    match last {
        After::Linger if welcome != Welcome::TurnedAwayAtOnce => {
            linger(&mut stream, &mut inbox)
        }
        After::Linger => {
            stream.finish()?;
            // What has come already is read, or closing would answer it with a reset.
            // What is still on its way will get one: lingering would take a worker.
            place.seat.socket.set_nonblocking(true)?;
            trace!("read", "what has come, without waiting");
            let _ = (&place.seat.socket).read(inbox.space()); // nothing, or an error: as well
            Ok(())
        }
        After::Idle | After::Close => Ok(()),
    }
}
