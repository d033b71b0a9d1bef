//! An event-driven server: one event loop, for the mistakes that only event-driven code makes.
//!
//! The loop is as plain as possible: epoll(7), with each connection registered once, for all events
//! and edge-triggered. A reported event is remembered until a read or a write would block, and a
//! request is parsed once it has arrived completely. This server implements no chunked content, few
//! limits, and no drain deadline; the threaded server in `listener.rs` has these.
//!
//! This file has the loop, which handles readiness and deadlines. `client.rs` has the state machine
//! of one connection, `requests.rs` has the requests and responses of a connection, and
//! `helpers.rs` has the threads that open files for the loop if `--file-threads` is given.

mod client;
mod helpers;
mod requests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::mutations::Mutation;
use crate::server::{Server, count};
use crate::switch::wrong;
use client::{Client, Phase, Turn};
use helpers::{Helpers, Job};

thread_local! {
    /// The timers of delayed responses that the mistake `events-alarm-outlives` keeps when their
    /// connections are closed: the closed connection's descriptor, and the due time.
    static STALE_TIMERS: RefCell<Vec<(RawFd, Instant)>> = const { RefCell::new(Vec::new()) };
}

/// Serves until shutdown is requested.
pub(crate) fn serve(listener: &TcpListener, server: &Arc<Server>) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let edge = EpollFlags::EPOLLET;
    let only_once =
        if wrong(Mutation::EventsAcceptsOnce) { edge } else { EpollFlags::empty() };
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN | only_once, LISTENER))?;
    epoll.add(server.stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
    let helpers = server.options.file_threads.map(|count| Helpers::start(server, count));
    let helpers = helpers.transpose()?;
    if let Some(helpers) = &helpers {
        epoll.add(helpers, EpollEvent::new(EpollFlags::EPOLLIN, HELPERS))?;
    }
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    let mut next_token = FIRST_CLIENT;
    let mut run_queue: Vec<u64> = Vec::new();
    let mut closed_twice: Vec<u64> = Vec::new();
    let mut events = vec![EpollEvent::empty(); 1024];
    while !server.stop.requested() {
        let timeout =
            if run_queue.is_empty() { next_timeout_ms(&clients) } else { Some(0) };
        let timeout = timeout.map_or(EpollTimeout::NONE, |ms| {
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        });
        let ready = match epoll.wait(&mut events, timeout) {
            Ok(ready) => ready,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(why) => return Err(why.into()),
        };
        if wrong(Mutation::EventsSuccessor) {
            run_queue.extend(expire(&mut clients, server));
        }
        let mut turns = std::mem::take(&mut run_queue);
        for token in std::mem::take(&mut closed_twice) {
            close(&mut clients, token, server);
        }
        let ready =
            if wrong(Mutation::EventsLosesOverflow) { ready.min(64) } else { ready };
        for event in &events[..ready] {
            match event.data() {
                STOP => {}
                HELPERS => {
                    for done in helpers.iter().flat_map(Helpers::take) {
                        let Some(client) = clients.get_mut(&done.token) else { continue };
                        if client.helped(done.answer, server) {
                            turns.push(done.token);
                        } else {
                            close(&mut clients, done.token, server);
                        }
                    }
                }
                LISTENER => {
                    while let Ok((stream, _)) = listener.accept() {
                        count(&server.stats.accepted);
                        count(&server.stats.open);
                        let by_descriptor = wrong(Mutation::EventsSuccessor)
                            || wrong(Mutation::EventsLateNews);
                        let token = if by_descriptor {
                            // The mistake: the token is derived from the descriptor alone. A later
                            // connection may get the same descriptor, and then has the same token.
                            FIRST_CLIENT + stream.as_raw_fd() as u64
                        } else {
                            next_token
                        };
                        next_token += 1;
                        if let Ok(client) = register(&epoll, stream, token, server) {
                            clients.insert(token, client);
                        }
                        if wrong(Mutation::EventsAcceptsOnce) {
                            break;
                        }
                    }
                }
                token => {
                    if let Some(client) = clients.get_mut(&token) {
                        if client.on_event(event.events()) {
                            turns.push(token);
                        } else {
                            close(&mut clients, token, server);
                            if wrong(Mutation::EventsLateNews) {
                                closed_twice.push(token);
                            }
                        }
                    }
                }
            }
        }
        for token in turns {
            let Some(client) = clients.get_mut(&token) else { continue };
            let turn = client.turn(server);
            if let (Some(helpers), Some((head, content))) = (&helpers, client.job.take())
            {
                helpers.submit(Job { token, head, content });
            }
            match turn {
                Turn::Blocked => {}
                Turn::Yielded if wrong(Mutation::EventsYieldsForEver) => {}
                Turn::Yielded => run_queue.push(token),
                Turn::Closed => close(&mut clients, token, server),
            }
        }
        run_queue.extend(expire(&mut clients, server));
        run_queue.sort_unstable();
        run_queue.dedup();
    }
    Ok(())
}

const LISTENER: u64 = 0;
const STOP: u64 = 1;
const HELPERS: u64 = 2;
const FIRST_CLIENT: u64 = 3;

fn register(
    epoll: &Epoll,
    stream: TcpStream,
    token: u64,
    server: &Server,
) -> io::Result<Client> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
    flags.set(EpollFlags::EPOLLPRI, !wrong(Mutation::EventsStrandsUrgent));
    if wrong(Mutation::EventsWantsRoomAlways) {
        // The mistake: without EPOLLET, every wait reports each socket that is writable, although
        // the server has nothing to write.
        flags |= EpollFlags::EPOLLOUT;
    } else if !wrong(Mutation::EventsSpinsOnHalfClose)
        && !wrong(Mutation::EventsSpinsOnHangUp)
    {
        flags |= EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    }
    epoll.add(&stream, EpollEvent::new(flags, token))?;
    Ok(Client::new(stream, server))
}

/// Returns the milliseconds until the first deadline, or `None` if no connection has one.
fn next_timeout_ms(clients: &BTreeMap<u64, Client>) -> Option<u128> {
    let left = STALE_TIMERS.with_borrow(|left| left.iter().map(|(_, at)| *at).min());
    let first = clients.values().map(Client::due).chain(left).min()?;
    let left = first.saturating_duration_since(Instant::now());
    Some(left.as_nanos().div_ceil(1_000_000))
}

/// Closes connections whose deadline has passed. Returns the tokens of connections that must
/// advance instead of being closed, because their delayed response is due or a 408 is queued.
fn expire(clients: &mut BTreeMap<u64, Client>, server: &Server) -> Vec<u64> {
    let now = Instant::now();
    STALE_TIMERS.with_borrow_mut(|left| {
        for (place, _) in left.extract_if(.., |(_, at)| *at <= now) {
            for client in clients.values_mut() {
                if client.stream.as_raw_fd() == place
                    && let Some((until, ..)) = &mut client.sleeping
                {
                    *until = now;
                }
            }
        }
    });
    let due: Vec<u64> = clients
        .iter()
        .filter(|(_, client)| client.due() <= now)
        .map(|(token, _)| *token)
        .collect();
    let goes_on = |token: &u64| {
        let Some(client) = clients.get_mut(token) else { return false };
        if client.sleeping.is_some() {
            return true;
        }
        if client.phase != Phase::Linger {
            count(&server.stats.timeouts);
        }
        if matches!(client.phase, Phase::Head | Phase::Content) {
            client.refuse(408, "the request was not complete in time", server);
            return true;
        }
        close(clients, *token, server);
        false
    };
    due.into_iter().filter(goes_on).collect()
}

fn close(clients: &mut BTreeMap<u64, Client>, token: u64, server: &Server) {
    if let Some(client) = clients.remove(&token) {
        if wrong(Mutation::EventsAlarmOutlives)
            && let Some((until, ..)) = client.sleeping
        {
            STALE_TIMERS
                .with_borrow_mut(|left| left.push((client.stream.as_raw_fd(), until)));
        }
        server.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}
