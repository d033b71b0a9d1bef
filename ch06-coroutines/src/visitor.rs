//! A client of the `async` server, and the future that serves it.

use crate::awaiting::Awaiting;
use crate::buffers::Work;
use crate::driver::{linger, refuse, serve};
use crate::executor::{Begins, Boxed, Spawner};
use crate::guest::Guest;
use crate::line::Line;
use crate::reactor::Resting;
use ch01_blocking::http::Refusal;
use ch01_blocking::serve::After;
use ch03_nonblocking::poller::{Poller, Token};
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;

/// One that is served by futures.
pub(crate) struct Visitor<'a, P: Poller + 'static>(
    pub(crate) Guest<'a, Spawner<'a, P, Visitor<'a, P>>>,
);

impl<'a, P: Poller + 'static> From<Guest<'a, Spawner<'a, P, Visitor<'a, P>>>>
    for Visitor<'a, P>
{
    fn from(guest: Guest<'a, Spawner<'a, P, Visitor<'a, P>>>) -> Self {
        Visitor(guest)
    }
}

impl<P: Poller + 'static> Resting for Visitor<'_, P> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    fn source(&self) -> Token {
        self.0.descriptor.token()
    }

    fn number(&self) -> u64 {
        self.0.number.into()
    }
}

impl<'a, P: Poller + 'static> Begins<'a> for Visitor<'a, P> {
    fn begin(self) -> Boxed<'a> {
        Box::pin(attend(self))
    }
}

// ANCHOR: attend
/// Serves a client until it is idle, or leaves, or has to.
async fn attend<P: Poller + 'static>(Visitor(guest): Visitor<'_, P>) {
    let house = guest.house.clone();
    let served = guest.served;
    let mut stream = Awaiting(Line::new(guest));
    let mut work = house.buffers.take();
    let Work { inbox, outbox } = &mut work;
    let after = match served {
        true => serve(&mut stream, house.site, inbox, outbox).await,
        false => refuse(Refusal::BUSY, &mut stream, house.site, outbox).await,
    };
    let ended = match after {
        Ok(After::Linger) => linger(&mut stream, inbox).await,
        Ok(After::Close) => Ok(()),
        Ok(After::Idle) => {
            house.buffers.give_back(work);
            return stream.0.rest(true);
        }
        // Nobody has spoken: it was told for nothing.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            house.buffers.give_back(work);
            return stream.0.rest(false);
        }
        Err(error) => Err(error),
    };
    house.buffers.give_back(work);
    house.goodbye(ended);
}
// ANCHOR_END: attend
