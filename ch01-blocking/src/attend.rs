//! What a thread, or a process, does for its client: all of it, from hello to goodbye.

use crate::http::{Inbox, Outbox, Refusal};
use crate::roster::Place;
use crate::serve::{After, linger, refuse, serve};
use crate::site::Site;
use crate::stream::{Blocking, Stream};
use crate::trace::trace;
use crate::wait::Timeouts;
use std::io::{self, ErrorKind};

/// Serves a client until it leaves, or has to.
pub fn attend(place: &Place<'_>, site: &Site, timeouts: &Timeouts) {
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(site.limits.output));
    converse(place, site, timeouts, |stream| {
        loop {
            match serve(stream, site, &mut inbox, &mut outbox)? {
                After::Idle => {}
                After::Linger => return linger(stream, &mut inbox),
                After::Close => return Ok(()),
            }
        }
    });
}

/// Tells a client that there is no room, politely: it gets the time to hear it.
pub fn turn_away(place: &Place<'_>, site: &Site, timeouts: &Timeouts) {
    converse(place, site, timeouts, |stream| {
        refuse(Refusal::BUSY, stream, site, &mut Outbox::new(site.limits.output))?;
        linger(stream, &mut Inbox::new())
    });
}

/// The same without waiting for anything, where nobody is free to wait.
pub fn turn_away_at_once(place: &Place<'_>, site: &Site, timeouts: &Timeouts) {
    converse(place, site, timeouts, |stream| {
        refuse(Refusal::BUSY, stream, site, &mut Outbox::new(site.limits.output))?;
        stream.finish()
    });
}

/// Runs one side of a conversation. However it ends, it is over: errors are the client's, and only traced.
fn converse(
    place: &Place<'_>,
    site: &Site,
    timeouts: &Timeouts,
    talk: impl FnOnce(&mut Blocking<'_>) -> io::Result<()>,
) {
    let end = Blocking::new(place, timeouts).and_then(|mut stream| talk(&mut stream));
    match end {
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            site.stats.timeouts.add();
            trace!("close", "out of patience");
        }
        Err(error) => trace!("close", "{error}"),
        Ok(()) => trace!("close", "done"),
    }
}
