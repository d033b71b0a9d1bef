//! The same contract by one thread that waits for nobody: for the mistakes that only
//! event code makes. As plain as it can be: epoll(7), edge-triggered, everything watched
//! once and for all; what is told is remembered; a request is parsed when all of it has
//! come. Content in chunks, limits and the drain deadline are left to the threads.
//!
//! Here is the loop: who has news, who is late. A client's turn is in `client.rs`, what it is
//! answered in `talk.rs`.

mod client;
mod talk;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::mutations::Mutation;
use crate::server::{Server, count};
use crate::switch::wrong;
use client::{Client, Phase, Turn};

thread_local! {
    /// By mistake: alarms of those who have left, by their descriptors.
    static LEFT: RefCell<Vec<(RawFd, Instant)>> = const { RefCell::new(Vec::new()) };
}

/// Serves until it is time to stop.
pub(crate) fn serve(listener: &TcpListener, server: &Server) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let edge = EpollFlags::EPOLLET;
    let only_once =
        if wrong(Mutation::EventsAcceptsOnce) { edge } else { EpollFlags::empty() };
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN | only_once, LISTENER))?;
    epoll.add(server.stop.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    let mut next = FIRST;
    let mut again: Vec<u64> = Vec::new();
    let mut late_news: Vec<u64> = Vec::new();
    let mut events = vec![EpollEvent::empty(); 1024];
    while !server.stop.asked() {
        let timeout = if again.is_empty() { until_first(&clients) } else { Some(0) };
        let timeout = timeout.map_or(EpollTimeout::NONE, |ms| {
            EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX)
        });
        let found = match epoll.wait(&mut events, timeout) {
            Ok(found) => found,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(why) => return Err(why.into()),
        };
        if wrong(Mutation::EventsSuccessor) {
            again.extend(late(&mut clients, server));
        }
        let mut turns = std::mem::take(&mut again);
        for number in std::mem::take(&mut late_news) {
            close(&mut clients, number, server);
        }
        let found =
            if wrong(Mutation::EventsLosesOverflow) { found.min(64) } else { found };
        for event in &events[..found] {
            match event.data() {
                STOP => {}
                LISTENER => {
                    while let Ok((stream, _)) = listener.accept() {
                        count(&server.stats.accepted);
                        count(&server.stats.open);
                        let by_descriptor = wrong(Mutation::EventsSuccessor)
                            || wrong(Mutation::EventsLateNews);
                        let number = if by_descriptor {
                            // The descriptor's number is a name too, is it not?
                            FIRST + stream.as_raw_fd() as u64
                        } else {
                            next
                        };
                        next += 1;
                        if let Ok(client) = welcome(&epoll, stream, number, server) {
                            clients.insert(number, client);
                        }
                        if wrong(Mutation::EventsAcceptsOnce) {
                            break;
                        }
                    }
                }
                number => {
                    if let Some(client) = clients.get_mut(&number) {
                        if client.told(event.events()) {
                            turns.push(number);
                        } else {
                            close(&mut clients, number, server);
                            if wrong(Mutation::EventsLateNews) {
                                late_news.push(number);
                            }
                        }
                    }
                }
            }
        }
        for number in turns {
            let Some(client) = clients.get_mut(&number) else { continue };
            match client.turn(server) {
                Turn::Waits => {}
                Turn::Again if wrong(Mutation::EventsYieldsForEver) => {}
                Turn::Again => again.push(number),
                Turn::Over => close(&mut clients, number, server),
            }
        }
        again.extend(late(&mut clients, server));
        again.sort_unstable();
        again.dedup();
    }
    Ok(())
}

const LISTENER: u64 = 0;
const STOP: u64 = 1;
const FIRST: u64 = 2;

fn welcome(
    epoll: &Epoll,
    stream: TcpStream,
    number: u64,
    server: &Server,
) -> io::Result<Client> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP;
    flags.set(EpollFlags::EPOLLPRI, !wrong(Mutation::EventsStrandsUrgent));
    if wrong(Mutation::EventsWantsRoomAlways) {
        flags |= EpollFlags::EPOLLOUT; // as long as it is so, that is: nearly always
    } else if !wrong(Mutation::EventsSpinsOnHalfClose)
        && !wrong(Mutation::EventsSpinsOnHangUp)
    {
        flags |= EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
    }
    epoll.add(&stream, EpollEvent::new(flags, number))?;
    Ok(Client::new(stream, server))
}

/// When something is due first, in milliseconds from now.
fn until_first(clients: &BTreeMap<u64, Client>) -> Option<u128> {
    let left = LEFT.with_borrow(|left| left.iter().map(|(_, at)| *at).min());
    let first = clients.values().map(Client::due).chain(left).min()?;
    let left = first.saturating_duration_since(Instant::now());
    Some(left.as_nanos().div_ceil(1_000_000))
}

/// Ends what has lasted too long; names those who are to have a turn.
fn late(clients: &mut BTreeMap<u64, Client>, server: &Server) -> Vec<u64> {
    let now = Instant::now();
    LEFT.with_borrow_mut(|left| {
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
        .map(|(number, _)| *number)
        .collect();
    let goes_on = |number: &u64| {
        let Some(client) = clients.get_mut(number) else { return false };
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
        close(clients, *number, server);
        false
    };
    due.into_iter().filter(goes_on).collect()
}

fn close(clients: &mut BTreeMap<u64, Client>, number: u64, server: &Server) {
    if let Some(client) = clients.remove(&number) {
        if wrong(Mutation::EventsAlarmOutlives)
            && let Some((until, ..)) = client.sleeping
        {
            LEFT.with_borrow_mut(|left| left.push((client.stream.as_raw_fd(), until)));
        }
        server.stats.open.fetch_sub(1, Ordering::Relaxed);
    }
}
