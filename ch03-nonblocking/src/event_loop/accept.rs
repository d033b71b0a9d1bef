//! Accepting clients: each client is admitted, or rejected with a 503 response.

use super::{Entry, EventLoop, LISTENER};
use crate::connection::{Connection, Wake};
use crate::poller::{Interest, Poller};
use crate::socket::Socket;
use ch01_blocking::server::connections::Admission;
use ch01_blocking::server::listener::{Client, Mode};
use ch01_blocking::server::stop::ACCEPT_BACKOFF;
use ch01_blocking::server::trace::{self, trace};
use std::os::fd::AsFd;

/// Maximum number of clients accepted in one round of the loop, so that accepting does
/// not delay the connections for long.
const MAX_ACCEPTS: usize = 64;

impl<P: Poller> EventLoop<'_, P> {
    // ANCHOR: accept
    /// Accepts waiting clients, at most `MAX_ACCEPTS`. If descriptors or memory are
    /// exhausted (EMFILE, ENFILE, ENOBUFS, ENOMEM), accepting pauses.
    pub(super) fn accept(&mut self) {
        self.accept_again = false;
        if self.accept_resumes.is_some() {
            return; // `resume_accepting` ends the pause
        }
        for _ in 0..MAX_ACCEPTS {
            let Some(listener) = &self.listener else { return };
            match listener.accept_now(Mode::NonBlocking) {
                Ok(Some(client)) => self.admit(client),
                Ok(None) => return,
                Err(error) => {
                    trace::set_connection(0);
                    trace!("pause", "{error}");
                    // While accepting pauses, the listener is not registered: the
                    // poller would report it in every round.
                    let _ = self.poller.deregister(listener.as_fd(), LISTENER);
                    self.accept_resumes = Some(self.shared.now + ACCEPT_BACKOFF);
                    if let Some(siblings) = self.siblings {
                        // The write wakes each loop that shares the listening socket,
                        // and wakes it once: these loops use edge-triggered epoll, so
                        // no loop has to read the eventfd's counter. The write fails
                        // only if the counter is full: each pause adds 1, so after
                        // nearly 2^64 pauses.
                        let _ = nix::unistd::write(siblings, &1_u64.to_ne_bytes());
                    }
                    return;
                }
            }
        }
        self.accept_again = true;
    }
    // ANCHOR_END: accept

    // ANCHOR: admit
    /// Registers the connection of an accepted client, or rejects the client with a 503
    /// response.
    fn admit(&mut self, client: Client) {
        let Client { socket, number } = client;
        let site = self.shared.site;
        // `others` is the number of open connections besides this one, in all loops and
        // processes that serve the same site.
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
        let token = self.connections.insert(Entry {
            connection,
            number: number as u32,
            interest: Interest::READ,
            queued: false,
            served,
        });
        self.rejected += usize::from(!served);
        let Some(entry) = self.connections.get_mut(token) else { return };
        let fd = entry.connection.transport().0.as_fd();
        if let Err(error) = self.poller.register(fd, token, Interest::READ) {
            // The poller cannot watch the descriptor (`select`, for example, has no bit
            // for descriptor 1024), so the client is rejected.
            trace!("poller", "{error}");
            self.rejected -= usize::from(!served);
            if let Some(entry) = self.connections.remove(token) {
                self.reject_at_once(entry.connection.into_transport());
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
    // ANCHOR_END: admit

    /// Sends a 503 response if that is possible at once, and closes the connection
    /// without waiting.
    fn reject_at_once(&mut self, socket: Socket) {
        let mut connection = Connection::rejected(socket, false, &mut self.shared);
        let _ = connection.advance(Wake::Again, &mut self.shared); // if this fails, only the 503 is lost
        trace!("close", "done");
        self.shared.site.stats.connection_closed();
    }

    // ANCHOR: resume
    /// Resumes accepting if the pause has lasted long enough, and accepts clients that
    /// the last call to `accept` has left in the backlog.
    pub(super) fn resume_accepting(&mut self) {
        if self.accept_resumes.is_some_and(|until| until <= self.shared.now)
            && let Some(listener) = &self.listener
        {
            // The listener is registered again only if accepting no longer fails. While
            // it is not registered, the kernel wakes only the other loops that share
            // its socket.
            let accepted = listener.accept_now(Mode::NonBlocking);
            self.accept_again = accepted.is_ok()
                && self
                    .poller
                    .register(listener.as_fd(), LISTENER, Interest::ACCEPT)
                    .is_ok();
            self.accept_resumes =
                (!self.accept_again).then(|| self.shared.now + ACCEPT_BACKOFF);
            if let Ok(Some(client)) = accepted {
                self.admit(client);
            }
        }
        if self.accept_again {
            self.accept();
        }
    }
    // ANCHOR_END: resume
}
