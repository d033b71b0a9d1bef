//! A client of the `async` server, and the future that serves it.

use crate::awaiting::Awaiting;
use crate::buffers::Desk;
use crate::driver::{linger, refuse, serve};
use crate::executor::{Begins, Boxed, Spawner};
use crate::guest::Guest;
use crate::line::Line;
use crate::reactor::Resting;
use ch01_blocking::http::HttpError;
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
        Box::pin(attend(Awaiting(Line::new(self.0))))
    }
}

// ANCHOR: attend
/// Serves a client until it is idle, or leaves, or has to.
///
/// Not an `async fn`: that would keep its argument twice, once as it came and once as the
/// variable. What a block captures, it keeps in one place.
#[allow(clippy::manual_async_fn)]
fn attend<P: Poller + 'static>(mut stream: Awaiting<'_, P>) -> impl Future<Output = ()> {
    async move {
        let house = stream.0.guest.house.clone();
        let mut desk = Desk::new(&house.buffers);
        let after = match stream.0.guest.served {
            true => serve(&mut stream, house.site, &mut desk).await,
            false => refuse(HttpError::BUSY, &mut stream, house.site, &mut desk).await,
        };
        let ended = match after {
            Ok(After::Linger) => linger(&mut stream, &mut desk).await,
            Ok(After::Close) => Ok(()),
            Ok(After::Idle) => return stream.0.rest(true),
            // Nobody has spoken: it was told for nothing.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return stream.0.rest(false);
            }
            Err(error) => Err(error),
        };
        house.goodbye(ended);
    }
}
// ANCHOR_END: attend

/// Bytes of the future that [`attend`] makes.
pub(crate) fn future_size<P: Poller + 'static>() -> usize {
    fn returned<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }
    returned(attend::<P>)
}
