//! A client, and what a coroutine does for it.

use crate::buffers::Work;
use crate::house::House;
use crate::scheduler::Dormant;
use crate::source::Descriptor;
use crate::stream::Parking;
use ch01_blocking::http::Refusal;
use ch01_blocking::serve;
use ch01_blocking::serve::{After, linger, refuse};
use ch01_blocking::trace::trace;
use ch03_nonblocking::poller::{Poller, Token};
use ch03_nonblocking::socket::Socket;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Instant;

// ANCHOR: guest
/// A client. While it is idle, this is all that there is of it; a coroutine that serves it
/// has it on its stack.
pub(crate) struct Guest<P: Poller + 'static> {
    pub(crate) descriptor: Descriptor<Socket, P, Guest<P>>,
    pub(crate) house: Rc<House>,
    /// Until when it may be idle.
    pub(crate) due: Instant,
    /// For the trace.
    pub(crate) number: u32,
    /// Whether it takes a place; those who are only being turned away do not.
    pub(crate) served: bool,
}
// ANCHOR_END: guest

impl<P: Poller> Guest<P> {
    /// Whether it may be idle, or go on being so.
    pub(crate) fn may_rest(&self) -> bool {
        !self.house.site.is_draining() && self.descriptor.handle().now() < self.due
    }
}

impl<P: Poller> Dormant for Guest<P> {
    fn begin(self) {
        let mut work = self.house.buffers.take();
        let house = self.house.clone();
        attend(self, &mut work);
        house.buffers.give_back(work);
    }

    fn no_stack(self, _: io::Error) {
        // Those who have a stack go on. It hears nothing: saying why may have to wait,
        // which is what there is no stack for.
        trace!("close", "out of memory");
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.descriptor.get().as_fd()
    }

    fn source(&self) -> Token {
        self.descriptor.token()
    }

    fn number(&self) -> u64 {
        self.number.into()
    }
}

// ANCHOR: attend
/// Serves a client until it is idle, or leaves, or has to. Lay this beside chapter 1's
/// `attend`: there a thread goes round and round, here a coroutine ends when it has nothing
/// to do, and another begins when there is something.
pub(crate) fn attend<P: Poller>(guest: Guest<P>, work: &mut Work) {
    let house = guest.house.clone();
    let served = guest.served;
    let mut stream = Parking::new(guest);
    let Work { inbox, outbox } = work;
    let after = match served {
        true => serve(&mut stream, house.site, inbox, outbox),
        false => refuse(Refusal::BUSY, &mut stream, house.site, outbox),
    };
    let ended = match after {
        Ok(After::Idle) => return stream.rest(true),
        Ok(After::Linger) => linger(&mut stream, inbox),
        Ok(After::Close) => Ok(()),
        // Nobody has spoken: it was told for nothing.
        Err(error) if error.kind() == ErrorKind::WouldBlock => return stream.rest(false),
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => trace!("close", "done"),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            house.site.stats.timeouts.add();
            trace!("close", "out of patience");
        }
        // The client's doing, and of no interest otherwise.
        Err(error) => trace!("close", "{error}"),
    }
}
// ANCHOR_END: attend

impl<P: Poller> Drop for Guest<P> {
    fn drop(&mut self) {
        let house = &self.house;
        house.site.stats.left();
        house.turned_away.update(|count| count - usize::from(!self.served));
        house.guests.update(|count| count - 1);
        if house.guests.get() == 0
            && let Some(host) = house.host.get()
        {
            self.descriptor.handle().wake(host); // it may be waiting for this
        }
    }
}
