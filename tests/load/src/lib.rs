//! The load generator: many clients on one thread send requests to one server and measure
//! throughput, latency, and errors.
//!
//! *Closed loop*: each connection sends its next request when the last one has been answered. A
//! server that stalls receives fewer requests, so its stall is counted once per connection, however
//! many requests would have arrived meanwhile: such latencies describe clients that wait, not a
//! population that keeps sending. *Open loop* ([`Plan::rate`]): requests are due at times that do
//! not depend on the responses, and latency is measured from the moment at which a request *should*
//! have been sent, so that a stall counts for every request due during it. (Measuring from the
//! actual send time instead is called coordinated omission.)
//!
//! ```text
//!            Clients: which client sends, and when      Stats: what is counted
//!            poll ─ wait ─ receive ─ Parser::next ────┬─ record_response
//!                    │                                └─ record_failure
//!                    └── send ◄── request ◄── proceed, or Schedule: what is due
//! ```

mod clients;
mod connection;
mod hold;
mod parser;
mod plan;
#[cfg_attr(target_os = "linux", path = "epoll.rs")]
#[cfg_attr(not(target_os = "linux"), path = "poll.rs")]
mod poller;
pub mod report;
mod requests;
mod schedule;
mod stats;

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use clients::Clients;
pub use hold::{HoldOutcome, hold};
pub use plan::{Errors, Outcome, Phase, Plan};
use schedule::Schedule;
use stats::running;

/// Maximum number of connections that wait for a response at the same time while connections are
/// being opened. The maximum is below the listen backlog of the book's servers on Linux (4096), so
/// that no SYN is dropped and resent.
const MAX_PENDING: usize = 500;
/// The time without any response, in nanoseconds, after which up to [`MAX_PENDING`] more
/// connections are opened. A server with a fixed number of workers may never answer the connections
/// that wait: it serves further clients only after the clients in service have left.
const STALL: u64 = 200_000_000;
/// The interval, in nanoseconds, between two reports to the function that observes a load test.
const REPORT_INTERVAL: u64 = 100_000_000;
/// Number of descriptors reserved for everything that is not a connection.
const RESERVED_DESCRIPTORS: usize = 32;

/// An event: the socket of the client `index` is ready. The event is a hint, because the readiness
/// may be over when the event is handled.
#[derive(Debug, Clone, Copy)]
struct Event {
    index: usize,
    readable: bool,
    writable: bool,
}

/// Carries out the plan, and reports each phase to the observer as it begins.
///
/// No request is in flight when the observer is called with the first [`Phase::Measuring`] and with
/// [`Phase::Finished`]: before each of them the clients stop sending, and every request in flight
/// is answered or fails. So the counted requests and errors are exactly those that begin and end
/// between the two moments, and an observer that reads the server's processor time at both knows
/// what the requests cost. The same holds in the open loop; requests that are due but not sent by
/// the end are never sent.
///
/// # Errors
///
/// Fails if no server listens at the address, if there are too few descriptors, or if this
/// system lacks a facility that the clients need. Later failures of connections are counted
/// instead.
pub fn run(plan: &Plan, observer: &mut dyn FnMut(&Phase)) -> io::Result<Outcome> {
    raise_descriptor_limit(plan.connections + plan.idle + RESERVED_DESCRIPTORS)?;
    drop(TcpStream::connect_timeout(&plan.address, plan.timeout)?);
    let mut clients = Clients::new(plan)?;
    open(&mut clients, plan, observer)?;
    observer(&Phase::WarmUp);
    run_phase(&mut clients, plan, plan.warm_up, &mut |_| {})?;
    drain(&mut clients)?;

    observer(&Phase::Measuring { done: Duration::ZERO });
    let (begin, ran) = (clients.now(), running()?);
    clients.stats.start_counting();
    let report = &mut |done| observer(&Phase::Measuring { done });
    let unsent = run_phase(&mut clients, plan, plan.time, report)?;
    drain(&mut clients)?;
    let elapsed =
        Duration::from_nanos(clients.stats.last.saturating_sub(begin)).max(plan.time);
    let ran = running()?.saturating_sub(ran);
    observer(&Phase::Finished);

    let idle = clients.connections[plan.connections..]
        .iter()
        .filter(|one| one.is_open())
        .count();
    let stats = clients.stats;
    Ok(Outcome {
        requests: stats.requests,
        bytes: stats.bytes,
        elapsed,
        latency: stats.latency,
        errors: stats.errors,
        unsent,
        idle,
        client_busy: ran.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

/// Opens all connections, the idle ones first, and waits for a response on each. Without
/// keep-alive, a client that is not idle connects only when it sends its request.
fn open(
    clients: &mut Clients<'_>,
    plan: &Plan,
    observer: &mut dyn FnMut(&Phase),
) -> io::Result<()> {
    let (all, mut allowed) = (plan.connections + plan.idle, MAX_PENDING);
    let mut indices = (plan.connections..all)
        .chain(0..if plan.keep_alive { plan.connections } else { 0 })
        .peekable();
    let (mut last_progress, mut last_report) = (clients.now(), 0);
    loop {
        while clients.in_flight() < allowed
            && let Some(index) = indices.next()
        {
            clients.connect_and_send(index)?;
        }
        let waiting = clients.in_flight();
        if waiting == 0 && indices.peek().is_none() {
            return Ok(());
        }
        clients.poll_once(last_progress + STALL)?;
        let now = clients.now();
        if now >= last_report + REPORT_INTERVAL {
            last_report = now;
            let open = clients.connections.iter().filter(|one| one.served).count();
            observer(&Phase::Opening { open });
        }
        if clients.in_flight() < waiting {
            last_progress = now;
        } else if now >= last_progress + STALL {
            if indices.peek().is_none() {
                return Ok(());
            }
            (last_progress, allowed) = (now, allowed + MAX_PENDING);
        }
    }
}

/// Keeps all clients sending for `time`. Returns the number of requests that were due but not sent
/// (open loop only).
fn run_phase(
    clients: &mut Clients<'_>,
    plan: &Plan,
    time: Duration,
    report: &mut dyn FnMut(Duration),
) -> io::Result<u64> {
    if time.is_zero() {
        return Ok(0);
    }
    let begin = clients.now();
    let end = begin + time.as_nanos() as u64;
    clients.schedule =
        plan.rate.map(|rate| Schedule::new(rate, begin, end, plan.connections));
    clients.start_sending()?;
    let mut now = clients.now();
    let mut last_report = now;
    while now < end {
        clients.poll_once(end.min(last_report + REPORT_INTERVAL))?;
        now = clients.now();
        if now >= last_report + REPORT_INTERVAL {
            last_report = now;
            report(Duration::from_nanos(now - begin));
        }
    }
    clients.stop_sending()
}

/// Waits until no request is in flight.
fn drain(clients: &mut Clients<'_>) -> io::Result<()> {
    while clients.in_flight() > 0 {
        clients.poll_once(clients.now() + REPORT_INTERVAL)?;
    }
    Ok(())
}

/// Raises the soft descriptor limit to at least `needed`.
///
/// # Errors
///
/// Fails if the hard limit is too low.
fn raise_descriptor_limit(needed: usize) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let needed = nix::libc::rlim_t::try_from(needed).unwrap_or(nix::libc::rlim_t::MAX);
    if soft >= needed {
        return Ok(());
    }
    if hard < needed
        || setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard).is_err()
    {
        return Err(io::Error::other(format!(
            "{needed} descriptors are needed for this many connections, but the hard limit is {hard}; \
             raise it (ulimit -Hn) or use fewer connections"
        )));
    }
    Ok(())
}
