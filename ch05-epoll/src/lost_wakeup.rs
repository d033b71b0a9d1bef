//! `lost-wakeup`: edge-triggered, and wrong on purpose. With `--mended` it is not.
//!
//! The smallest loop that can lose a wake-up. It has no deadlines, does not know
//! `/sleep`, and hangs up on whoever is too slow for an answer: [`epoll`](crate::epoll)
//! is the server; this one is there to be broken and mended.

use crate::epoll::{Epoll, Trigger};
use ch01_blocking::http::{Inbox, Outbox, Parsed};
use ch01_blocking::server::listener::{Client, Mode};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::{Listener, Site, Stop};
use ch02_threadpool::options::With;
use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch03_nonblocking::socket::Socket;
use ch03_nonblocking::table::Table;
use clap::Args;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::SystemTime;

const LISTENER: Token = Token { index: u32::MAX, generation: 0 };
const STOP: Token = Token { index: u32::MAX, generation: 1 };

/// One read takes so many bytes at most. Few, so that already a request of curl's is
/// longer: with a usual buffer the same mistake hits only who uploads.
const PIECE: usize = 64;

/// What `lost-wakeup` is told at its start.
pub type Options = With<Own>;

/// What only `lost-wakeup` is told.
#[derive(Args, Clone, Debug)]
pub struct Own {
    /// Read until reading would wait, as one must
    #[arg(long)]
    mended: bool,
}

/// One client.
#[derive(Debug)]
struct Guest {
    socket: Socket,
    number: u64,
    inbox: Inbox,
    outbox: Outbox,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Stays,
    Leaves,
}

/// Serves until `stop`, or forgets to.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let mut epoll = Epoll::new(Trigger::Edge)?;
    epoll.register(listener.as_fd(), LISTENER, Interest::ACCEPT)?;
    epoll.register(stop.as_fd(), STOP, Interest::READ)?;
    let mut guests = Table::new();
    let mut ready = Vec::new();
    loop {
        epoll.wait(&mut ready, None)?;
        for event in ready.drain(..) {
            match event.token {
                LISTENER => {
                    while let Some(client) = listener.accept_now(Mode::NonBlocking)? {
                        let token = guests.insert(Guest::new(client, site));
                        let Some(guest) = guests.get_mut(token) else { continue };
                        epoll.register(guest.socket.as_fd(), token, Interest::READ)?;
                    }
                }
                STOP => {
                    drop(listener); // who comes now is refused by the kernel
                    return Ok(());
                }
                token => {
                    let Some(guest) = guests.get_mut(token) else { continue };
                    trace::set_connection(guest.number);
                    let told = event.readable || event.eof || event.broken;
                    if told
                        && guest.told(site, options).unwrap_or(Now::Leaves) != Now::Stays
                    {
                        trace!("close", "done");
                        epoll.deregister(guest.socket.as_fd(), token)?;
                        guests.remove(token);
                    }
                }
            }
        }
    }
}

impl Guest {
    fn new(client: Client, site: &Site) -> Guest {
        Guest {
            socket: Socket(client.socket),
            number: client.number,
            inbox: Inbox::new(),
            outbox: Outbox::new(site.limits.output),
        }
    }

    // ANCHOR: told
    /// It has been told, once, that there is something to read.
    fn told(&mut self, site: &Site, options: &Options) -> io::Result<Now> {
        let mut piece = [0; PIECE];
        loop {
            match self.socket.0.read(&mut piece) {
                Ok(0) => {
                    trace!("read", "the end");
                    return Ok(Now::Leaves);
                }
                Ok(n) => {
                    trace!("read", "{n} bytes");
                    self.inbox.receive(&piece[..n]);
                    if self.answer(site)? == Now::Leaves {
                        return Ok(Now::Leaves);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    trace!("wait", "to be told: there is nothing left to read");
                    return Ok(Now::Stays);
                }
                Err(error) => return Err(error),
            }
            if !options.own.mended {
                trace!("wait", "to be told");
                return Ok(Now::Stays);
            }
        }
    }
    // ANCHOR_END: told

    /// Answers the requests that are complete.
    fn answer(&mut self, site: &Site) -> io::Result<Now> {
        let mut now = Now::Stays;
        while now == Now::Stays {
            match self.inbox.next(&site.limits) {
                Parsed::Complete(request) => {
                    let asked = request.response_context();
                    let response = site.respond(&request);
                    if response.is_last(asked) {
                        now = Now::Leaves;
                    }
                    self.outbox.push(response, asked, &SystemTime::now);
                }
                Parsed::Partial { .. } => break,
                Parsed::Refused(why) => {
                    self.outbox.push_error(why, &SystemTime::now);
                    now = Now::Leaves;
                }
            }
        }
        if !self.outbox.is_empty() {
            self.outbox.flush(&mut self.socket)?;
            trace!("write", "the answer");
        }
        Ok(now)
    }
}
