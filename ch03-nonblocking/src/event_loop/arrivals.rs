//! Clients that arrive: how each gets its place, or a word of regret.

use super::{EventLoop, Guest, LISTENER};
use crate::connection::{Connection, Wake};
use crate::poller::{Interest, Poller};
use crate::socket::Socket;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::listener::{ACCEPT_BACKOFF, Client, Mode};
use ch01_blocking::server::trace::{self, trace};
use std::os::fd::AsFd;

/// At most so many clients are accepted before the others have their turn.
const ACCEPTS: usize = 64;

impl<P: Poller> EventLoop<'_, P> {
    // ANCHOR: accept
    /// Accepts whoever is waiting.
    pub(super) fn accept(&mut self) {
        self.accept_again = false;
        if self.paused.is_some() {
            return; // its time comes
        }
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else { return };
            match listener.accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => self.arrive(client),
                Ok(None) => return,
                Err(error) => {
                    trace::set_connection(0);
                    trace!("pause", "{error}");
                    // Or the poller would go on telling us.
                    let _ = self.poller.deregister(listener.as_fd(), LISTENER);
                    self.paused = Some(self.shared.now + ACCEPT_BACKOFF);
                    if let Some(siblings) = self.siblings {
                        // An eventfd that is full wakes them as well.
                        let _ = nix::unistd::write(siblings, &1_u64.to_ne_bytes());
                    }
                    return;
                }
            }
        }
        self.accept_again = true;
    }
    // ANCHOR_END: accept

    /// Gives a client its place, or a word of regret.
    fn arrive(&mut self, client: Client) {
        let Client { socket, number } = client;
        let site = self.shared.site;
        // Counted over all loops and processes that serve the same site.
        let others = site.stats.connection_opened();
        let admission = Admission::decide(
            others.saturating_sub(self.rejected),
            self.rejected,
            self.options.max_connections,
        );
        let served = admission == Admission::Admitted;
        let connection = match admission {
            Admission::Admitted => Connection::new(Socket(socket)),
            Admission::Rejected => {
                Connection::rejected(Socket(socket), true, &mut self.shared)
            }
            Admission::RejectedAtOnce => return self.reject_at_once(Socket(socket)),
        };
        let token = self.guests.insert(Guest {
            connection,
            number: number as u32,
            interest: Interest::READ,
            queued: false,
            served,
        });
        self.rejected += usize::from(!served);
        let Some(guest) = self.guests.get_mut(token) else { return };
        let fd = guest.connection.transport().0.as_fd();
        if let Err(error) = self.poller.register(fd, token, Interest::READ) {
            // There is no room for it in the mechanism: `select` knows such a wall.
            trace!("poller", "{error}");
            self.rejected -= usize::from(!served);
            if let Some(guest) = self.guests.remove(token) {
                self.reject_at_once(guest.connection.into_transport());
            }
        } else if served {
            self.idle.push(token);
            trace!(
                "wait",
                "for a request, {:.1} s at most",
                self.shared.timeouts.idle.as_secs_f64()
            );
        } else {
            self.turn(token, Wake::Again);
        }
    }

    /// One attempt to say why; nothing is waited for.
    fn reject_at_once(&mut self, socket: Socket) {
        let mut connection = Connection::rejected(socket, false, &mut self.shared);
        let _ = connection.advance(Wake::Again, &mut self.shared); // or it does not hear it
        trace!("close", "done");
        self.shared.site.stats.connection_closed();
    }

    /// Accepts on, where accepting had to stop for a while.
    pub(super) fn accept_on(&mut self) {
        if self.paused.is_some_and(|until| until <= self.shared.now)
            && let Some(listener) = &self.listener
        {
            // Not registered before accepting works again: until then a client's arrival is to
            // wake a sibling.
            let accepted = listener.accept_now(Mode::NonBlocking);
            self.accept_again = accepted.is_ok()
                && self
                    .poller
                    .register(listener.as_fd(), LISTENER, Interest::ACCEPT)
                    .is_ok();
            self.paused = (!self.accept_again).then(|| self.shared.now + ACCEPT_BACKOFF);
            if let Ok(Some(client)) = accepted {
                self.arrive(client);
            }
        }
        if self.accept_again {
            self.accept();
        }
    }
}
