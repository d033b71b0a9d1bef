//! What the guests of one thread share, and how they come in.

use crate::buffers::Buffers;
use crate::guest::{Guest, OnStack};
use crate::reactor::{self, Watch};
use crate::scheduler::Handle;
use crate::source::{Descriptor, Until};
use ch01_blocking::deadlines::{Describe, Timeouts, Wait};
use ch01_blocking::http::{HttpError, Outbox};
use ch01_blocking::serve::push_error;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::listener::{ACCEPT_BACKOFF, Client, Mode};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::stream::Transport;
use ch01_blocking::{Listener, Options, Site};
use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch03_nonblocking::socket::Socket;
use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;
use std::time::Instant;

/// At most so many clients are accepted before the others have their turn.
const ACCEPTS: usize = 64;

/// What the guests of one thread share.
pub(crate) struct House<'a, W> {
    pub(crate) site: &'a Site,
    pub(crate) timeouts: Timeouts,
    pub(crate) most: usize,
    pub(crate) buffers: Buffers,
    pub(crate) guests: Cell<usize>,
    /// How many of them are only here to be told that there is no room.
    pub(crate) rejected: Cell<usize>,
    /// Who waits for the last guest to leave, when somebody does.
    pub(crate) host: Cell<Option<W>>,
}

// ANCHOR: accept
/// Accepts whoever comes, until the server stops.
pub(crate) fn accept<P: Poller>(
    house: &Rc<House<'static, Token>>,
    door: &Descriptor<Listener, Handle<P, OnStack<P>>>,
) -> io::Result<()> {
    let handle = door.handle();
    door.get().ready()?;
    while !house.site.is_draining() {
        match house.let_in(door) {
            Came::Crowd => {}
            Came::Nobody => drop(door.wait(Until::Readable, None)?),
            Came::NoDescriptors => {
                door.wait(Until::Over, Some(handle.now() + ACCEPT_BACKOFF))?;
            }
        }
        handle.yield_now(); // a crowd is at the door, and others are inside
    }
    Ok(())
}
// ANCHOR_END: accept

/// What became of who was at the door.
pub(crate) enum Came {
    /// They are in, and there may be more.
    Crowd,
    /// There is nobody more.
    Nobody,
    /// There is nothing to accept them with: a pause.
    NoDescriptors,
}

impl<'a, W> House<'a, W> {
    pub(crate) fn new(site: &'a Site, options: &Options) -> Rc<House<'a, W>> {
        Rc::new(House {
            site,
            timeouts: options.timeouts(),
            most: options.max_connections,
            buffers: Buffers::new(site.limits.output),
            guests: Cell::new(0),
            rejected: Cell::new(0),
            host: Cell::new(None),
        })
    }

    // ANCHOR: let_in
    /// Accepts as many as may come in before the others have their turn.
    pub(crate) fn let_in<H>(self: &Rc<Self>, door: &Descriptor<Listener, H>) -> Came
    where
        H: Watch<Waiter = W, Resting: From<Guest<'a, H>>>,
    {
        for _ in 0..ACCEPTS {
            match door.get().accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => self.clone().arrive(client, door.handle()),
                Ok(None) => return Came::Nobody,
                Err(error) => {
                    trace::set_connection(0);
                    trace!("pause", "{error}");
                    return Came::NoDescriptors;
                }
            }
        }
        Came::Crowd
    }
    // ANCHOR_END: let_in

    /// Gives a client its place, or a word of regret.
    fn arrive<H>(self: Rc<Self>, client: Client, handle: &H)
    where
        H: Watch<Waiter = W, Resting: From<Guest<'a, H>>>,
    {
        let Client { socket, number } = client;
        // Counted over all threads that serve the same site.
        let others = self.site.stats.connection_opened();
        let rejected = self.rejected.get();
        let admission =
            Admission::decide(others.saturating_sub(rejected), rejected, self.most);
        if admission == Admission::RejectedAtOnce {
            return self.reject_at_once(Socket(socket));
        }
        let descriptor = match Descriptor::new(Socket(socket), Interest::READ, handle) {
            Ok(descriptor) => descriptor,
            Err((socket, error)) => {
                // There is no room for it in the mechanism: `select` knows such a wall.
                trace!("poller", "{error}");
                return self.reject_at_once(socket);
            }
        };
        let idle = self.timeouts.idle;
        let due = Instant::now() + idle; // the round may have begun a while ago
        let served = admission == Admission::Admitted;
        self.guests.update(|count| count + 1);
        self.rejected.update(|count| count + usize::from(!served));
        let guest = Guest { descriptor, house: self, due, number: number as u32, served };
        let seated = if served {
            trace!("rest", "{}, and owns next to nothing", Describe(Wait::Idle, idle));
            reactor::rest(handle, guest.into(), due)
        } else {
            handle.begin(guest.into())
        };
        if let Err(error) = seated {
            trace!("close", "{error}");
        }
    }

    /// A guest has left. Says who is to be told, if it was the last one.
    pub(crate) fn left(&self, served: bool) -> Option<W> {
        self.site.stats.connection_closed();
        self.rejected.update(|count| count - usize::from(!served));
        self.guests.update(|count| count - 1);
        if self.guests.get() == 0 { self.host.take() } else { None }
    }

    /// How a guest's conversation ended.
    pub(crate) fn goodbye(&self, ended: io::Result<()>) {
        match ended {
            Ok(()) => trace!("close", "done"),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.site.stats.timeouts.add();
                trace!("close", "out of patience");
            }
            // The client's doing, and of no interest otherwise.
            Err(error) => trace!("close", "{error}"),
        }
    }

    /// The server stops: what is left of those who are here.
    pub(crate) fn say_stop(&self) {
        trace::set_connection(0);
        trace!(
            "stop",
            "{} connections, {:.1} s to finish",
            self.guests.get(),
            self.timeouts.drain.as_secs_f64()
        );
    }

    /// One attempt to say why; nothing is waited for.
    fn reject_at_once(&self, mut socket: Socket) {
        let mut outbox = Outbox::new(self.site.limits.output);
        push_error(HttpError::BUSY, self.site, &mut outbox);
        let _ = outbox.flush(&mut socket).and_then(|()| socket.shutdown_write()); // or it does not hear it
        // What has come already is read, or closing would answer it with a reset.
        let _ = socket.0.read(&mut self.buffers.scratch.borrow_mut()); // nothing, or an error: as well
        trace!("close", "done");
        self.site.stats.connection_closed();
    }
}
