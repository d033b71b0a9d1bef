//! The server `lost-wakeup`: an edge-triggered loop that is wrong on purpose; `--fixed`
//! corrects it.
//!
//! This is the smallest loop that can lose a wake-up. It has no deadlines, does not
//! support `/sleep`, and closes a connection whose client is too slow to take an
//! answer. The chapter's correct server is [`epoll`](crate::epoll).

use crate::epoll::{Epoll, Trigger};
use ch01_blocking::http::{HttpDate, Inbox, Outbox, Parsed};
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

const LISTENER: Token = Token { index: u32::MAX, generation: 0 };
const STOP: Token = Token { index: u32::MAX, generation: 1 };

/// Bytes per read, deliberately few: even curl's request is longer, so the mistake of
/// this server, one read per event, shows at once. With a buffer of the usual size, the
/// mistake would show only in uploads.
const PIECE: usize = 64;

/// The command-line options of `lost-wakeup`.
pub type Options = With<Own>;

/// The options that only `lost-wakeup` has.
#[derive(Args, Clone, Debug)]
pub struct Own {
    /// Read until EAGAIN, as edge-triggered notification demands
    #[arg(long)]
    fixed: bool,
}

#[derive(Debug)]
struct Connection {
    socket: Socket,
    number: u64,
    inbox: Inbox,
    outbox: Outbox,
}

/// The decision whether a connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Open,
    Close,
}

/// Serves until `stop` is requested. Without `--fixed`, a lost wake-up can leave a client
/// without its answer.
///
/// # Errors
///
/// The errors of [`Epoll::new`], of the poller's methods, of [`Listener::ready`] and of
/// [`Listener::accept_now`]: this server ends, for example, when no descriptor is left.
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let mut epoll = Epoll::new(Trigger::Edge)?;
    epoll.register(listener.as_fd(), LISTENER, Interest::ACCEPT)?;
    epoll.register(stop.as_fd(), STOP, Interest::READ)?;
    let mut connections = Table::new();
    let mut ready = Vec::new();
    listener.ready()?;
    loop {
        epoll.wait(&mut ready, None)?;
        for event in ready.drain(..) {
            match event.token {
                LISTENER => {
                    while let Some(client) = listener.accept_now(Mode::NonBlocking)? {
                        let token = connections.insert(Connection::new(client, site));
                        let Some(connection) = connections.get_mut(token) else {
                            continue;
                        };
                        epoll.register(
                            connection.socket.as_fd(),
                            token,
                            Interest::READ,
                        )?;
                    }
                }
                STOP => {
                    drop(listener); // the kernel refuses further clients
                    return Ok(());
                }
                token => {
                    let Some(connection) = connections.get_mut(token) else { continue };
                    trace::set_connection(connection.number);
                    let is_reported = event.readable || event.eof || event.broken;
                    if is_reported
                        && connection.on_readable(site, options).unwrap_or(Next::Close)
                            != Next::Open
                    {
                        trace!("close", "done");
                        epoll.deregister(connection.socket.as_fd(), token)?;
                        connections.remove(token);
                    }
                }
            }
        }
    }
}

impl Connection {
    fn new(client: Client, site: &Site) -> Connection {
        Connection {
            socket: Socket(client.socket),
            number: client.number,
            inbox: Inbox::new(),
            outbox: Outbox::new(site.limits.output),
        }
    }

    // ANCHOR: on_readable
    /// Reads from a socket that was reported readable, and answers requests. Returns
    /// whether the connection stays open. Bytes that are left unread are not reported
    /// again.
    fn on_readable(&mut self, site: &Site, options: &Options) -> io::Result<Next> {
        let mut piece = [0; PIECE];
        loop {
            match self.socket.0.read(&mut piece) {
                Ok(0) => {
                    trace!("read", "the end");
                    return Ok(Next::Close);
                }
                Ok(n) => {
                    trace!("read", "{n} bytes");
                    self.inbox.receive(&piece[..n]);
                    if self.answer(site)? == Next::Close {
                        return Ok(Next::Close);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    trace!("wait", "for the next event: there is nothing left to read");
                    return Ok(Next::Open);
                }
                Err(error) => return Err(error),
            }
            if !options.own.fixed {
                trace!("wait", "for the next event");
                return Ok(Next::Open);
            }
        }
    }
    // ANCHOR_END: on_readable

    /// Answers all complete requests in the inbox.
    fn answer(&mut self, site: &Site) -> io::Result<Next> {
        let mut next = Next::Open;
        while next == Next::Open {
            match self.inbox.next(&site.limits) {
                Parsed::Complete(request) => {
                    let asked = request.response_context();
                    let response = site.respond(&request);
                    if response.is_last(asked) {
                        next = Next::Close;
                    }
                    self.outbox.push(response, asked, &HttpDate::now);
                }
                Parsed::Partial { .. } => break,
                Parsed::Refused(why) => {
                    self.outbox.push_error(why, &HttpDate::now);
                    next = Next::Close;
                }
            }
        }
        if !self.outbox.is_empty() {
            self.outbox.flush(&mut self.socket)?;
            trace!("write", "the answer");
        }
        Ok(next)
    }
}
