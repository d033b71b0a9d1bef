//! A client, and what a coroutine does for it.

use crate::buffers::Work;
use crate::house::House;
use crate::line::Line;
use crate::reactor::{Resting, Watch};
use crate::scheduler::{Dormant, Handle};
use crate::source::Descriptor;
use crate::stream::Parking;
use ch01_blocking::http::HttpError;
use ch01_blocking::serve;
use ch01_blocking::serve::{After, linger, refuse};
use ch01_blocking::server::trace::trace;
use ch03_nonblocking::poller::{Poller, Token};
use ch03_nonblocking::socket::Socket;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Instant;

// ANCHOR: guest
/// A client. While it is idle, this is all that there is of it; a coroutine that serves it
/// has it on its stack.
pub(crate) struct Guest<'a, H: Watch> {
    pub(crate) descriptor: Descriptor<Socket, H>,
    pub(crate) house: Rc<House<'a, H::Waiter>>,
    /// Until when it may be idle.
    pub(crate) due: Instant,
    /// For the trace.
    pub(crate) number: u32,
    /// Whether it takes a place; those who are only being turned away do not.
    pub(crate) served: bool,
}
// ANCHOR_END: guest

impl<H: Watch> Guest<'_, H> {
    /// Whether it may be idle, or go on being so.
    pub(crate) fn may_rest(&self) -> bool {
        !self.house.site.is_draining() && self.descriptor.handle().now() < self.due
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.get().as_fd()
    }
}

impl<H: Watch> Drop for Guest<'_, H> {
    fn drop(&mut self) {
        if let Some(host) = self.house.left(self.served) {
            self.descriptor.handle().wake(host); // it may be waiting for this
        }
    }
}

/// One that is served by coroutines.
pub(crate) struct OnStack<P: Poller + 'static>(
    pub(crate) Guest<'static, Handle<P, OnStack<P>>>,
);

impl<P: Poller> From<Guest<'static, Handle<P, OnStack<P>>>> for OnStack<P> {
    fn from(guest: Guest<'static, Handle<P, OnStack<P>>>) -> Self {
        OnStack(guest)
    }
}

impl<P: Poller> Resting for OnStack<P> {
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

impl<P: Poller> Dormant for OnStack<P> {
    fn begin(self) {
        let house = self.0.house.clone();
        let mut work = house.buffers.take();
        attend(self.0, &mut work);
        house.buffers.give_back(work);
    }

    fn no_stack(self, _: io::Error) {
        // Those who have a stack go on. It hears nothing: saying why may have to wait,
        // which is what there is no stack for.
        trace!("close", "out of memory");
    }
}

// ANCHOR: attend
/// Serves a client until it is idle, or leaves, or has to. Lay this beside chapter 1's
/// `attend`: there a thread goes round and round, here a coroutine ends when it has nothing
/// to do, and another begins when there is something.
fn attend<P: Poller>(guest: Guest<'static, Handle<P, OnStack<P>>>, work: &mut Work) {
    let house = guest.house.clone();
    let served = guest.served;
    let mut stream = Parking(Line::new(guest));
    let Work { inbox, outbox } = work;
    let after = match served {
        true => serve(&mut stream, house.site, inbox, outbox),
        false => refuse(HttpError::BUSY, &mut stream, house.site, outbox),
    };
    let ended = match after {
        Ok(After::Idle) => return stream.0.rest(true),
        Ok(After::Linger) => linger(&mut stream, inbox),
        Ok(After::Close) => Ok(()),
        // Nobody has spoken: it was told for nothing.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            return stream.0.rest(false);
        }
        Err(error) => Err(error),
    };
    house.goodbye(ended);
}
// ANCHOR_END: attend
