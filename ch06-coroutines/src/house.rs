//! What the guests of one thread share, and how they come in.

use crate::buffers::Buffers;
use crate::guest::Guest;
use crate::scheduler::{Dormant, Handle};
use crate::source::{Descriptor, Until};
use ch01_blocking::attend::Welcome;
use ch01_blocking::http::{Outbox, Refusal};
use ch01_blocking::listener::{Client, Mode, PAUSE};
use ch01_blocking::serve::push_refusal;
use ch01_blocking::stream::Transport;
use ch01_blocking::trace::{self, trace};
use ch01_blocking::wait::{Describe, Timeouts, Wait};
use ch01_blocking::{Listener, Options, Site};
use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch03_nonblocking::socket::Socket;
use std::cell::Cell;
use std::io;
use std::io::Read;
use std::rc::Rc;

/// At most so many clients are accepted before the others have their turn.
const ACCEPTS: usize = 64;

/// What the guests of one thread share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) site: &'static Site,
    pub(crate) timeouts: Timeouts,
    pub(crate) most: usize,
    pub(crate) buffers: Buffers,
    pub(crate) guests: Cell<usize>,
    /// How many of them are only here to be told that there is no room.
    pub(crate) turned_away: Cell<usize>,
    /// The coroutine that waits for the last guest to leave, when it does.
    pub(crate) host: Cell<Option<Token>>,
}

// ANCHOR: accept
/// Accepts whoever comes, until the server stops.
pub(crate) fn accept<P: Poller>(
    house: &Rc<House>,
    door: &Descriptor<Listener, P, Guest<P>>,
) -> io::Result<()> {
    let handle = door.handle();
    while !house.site.is_draining() {
        for _ in 0..ACCEPTS {
            match door.get().accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => house.clone().arrive(client, handle),
                Ok(None) => {
                    door.wait(Until::Readable, None)?;
                    break;
                }
                Err(error) => {
                    trace::about(0);
                    trace!("pause", "{error}");
                    door.wait(Until::Over, Some(handle.now() + PAUSE))?;
                    break;
                }
            }
        }
        handle.yield_now(); // a crowd is at the door, and others are inside
    }
    Ok(())
}
// ANCHOR_END: accept

impl House {
    pub(crate) fn new(site: &'static Site, options: &Options) -> Rc<House> {
        Rc::new(House {
            site,
            timeouts: options.timeouts(),
            most: options.max_connections,
            buffers: Buffers::new(site.limits.output),
            guests: Cell::new(0),
            turned_away: Cell::new(0),
            host: Cell::new(None),
        })
    }

    /// Gives a client its place, or a word of regret.
    fn arrive<P: Poller>(self: Rc<House>, client: Client, handle: &Handle<P, Guest<P>>) {
        let Client { socket, number } = client;
        // Counted over all schedulers that serve the same site.
        let others = self.site.stats.arrived();
        let turned_away = self.turned_away.get();
        let welcome =
            Welcome::to(others.saturating_sub(turned_away), turned_away, self.most);
        if welcome == Welcome::TurnedAwayAtOnce {
            return self.turn_away_at_once(Socket(socket));
        }
        let descriptor = match Descriptor::new(Socket(socket), Interest::READ, handle) {
            Ok(descriptor) => descriptor,
            Err((socket, error)) => {
                // There is no room for it in the mechanism: `select` knows such a wall.
                trace!("poller", "{error}");
                return self.turn_away_at_once(socket);
            }
        };
        let idle = self.timeouts.idle;
        let due = handle.now() + idle;
        let served = welcome == Welcome::Served;
        self.guests.update(|count| count + 1);
        self.turned_away.update(|count| count + usize::from(!served));
        let guest = Guest { descriptor, house: self, due, number: number as u32, served };
        let seated = if served {
            trace!("rest", "{}, without a stack", Describe(Wait::Idle, idle));
            handle.rest(guest, due)
        } else {
            handle.spawn_for(number, |_| guest.begin()).map(drop)
        };
        if let Err(error) = seated {
            trace!("close", "{error}");
        }
    }

    /// One attempt to say why; nothing is waited for.
    fn turn_away_at_once(&self, mut socket: Socket) {
        let mut outbox = Outbox::new(self.site.limits.output);
        push_refusal(Refusal::BUSY, self.site, &mut outbox);
        let _ = outbox.flush(&mut socket).and_then(|()| socket.finish()); // or it does not hear it
        // What has come already is read, or closing would answer it with a reset.
        let _ = socket.0.read(&mut self.buffers.scratch.borrow_mut()); // nothing, or an error: as well
        trace!("close", "done");
        self.site.stats.left();
    }
}
