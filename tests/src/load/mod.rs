//! Load: many clients on one thread ask one server for one thing, again and again, and
//! measure what it does.
//!
//! *Closed loop*: each connection asks again when it has been answered. A server that stalls
//! is asked less, so its stall is counted once for each connection that waited, however many
//! would have come meanwhile: such latencies describe these clients, not a world that goes
//! on asking. *Open loop* ([`Plan::rate`]): requests are due at times that do not depend on
//! the answers, and latency counts from the moment at which a request *should* have been
//! sent, so that a stall is felt by everybody who would have come in it. (The error of not
//! doing so is called coordinated omission.)
//!
//! ```text
//!            Crowd: who asks when                     Tally: what is counted
//!            turn ─ wait ─ receive ─ Answers::next ─┬─ answer
//!                     │                             └─ fault
//!                     └── send ◄── ask ◄── carry on, or Pace: what is due
//! ```

mod answers;
pub mod command;
mod connection;
mod crowd;
mod hold;
mod pace;
mod plan;
mod report;
mod requests;
mod tally;
#[cfg_attr(target_os = "linux", path = "epoll.rs")]
#[cfg_attr(not(target_os = "linux"), path = "poll.rs")]
mod waiter;

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crowd::Crowd;
pub use hold::{Held, hold};
use pace::Pace;
pub use plan::{Errors, Outcome, Phase, Plan};
use tally::running;

/// So many clients may have connected and not been answered yet, while the connections are
/// made: fewer than a backlog holds, or the kernel would have to ask again for some of them.
const AT_ONCE: usize = 500;
/// When nobody has been answered for so long, more may connect: some servers have only so
/// many places, and the others' turn does not come before those leave.
const QUIET: u64 = 200_000_000;
/// From one word to the observer to the next.
const STEP: u64 = 100_000_000;
/// Descriptors that are no connections.
const OTHERS: usize = 32;

/// Carries out the plan, and tells the observer of each phase as it begins.
///
/// Nothing is under way when the observer is told of the first [`Phase::Measuring`] and of
/// [`Phase::Finished`]: before each of them nobody asks any more, and what has been asked is
/// waited for, until it is answered or has failed. So the requests and the errors that are counted
/// are exactly those that begin and end between the two moments, and an observer who reads
/// the server's account of processor time at both knows what they cost. (In the open loop too;
/// what is due and not sent by the end is never sent.)
///
/// # Errors
/// Nobody listens at the address, there are too few descriptors, or this system lacks what
/// a client needs. What goes wrong later is counted.
pub fn run(plan: &Plan, observer: &mut dyn FnMut(&Phase)) -> io::Result<Outcome> {
    descriptors(plan.connections + plan.idle + OTHERS)?;
    drop(TcpStream::connect_timeout(&plan.address, plan.timeout)?);
    let mut crowd = Crowd::new(plan)?;
    open(&mut crowd, plan, observer)?;
    observer(&Phase::WarmUp);
    go_on(&mut crowd, plan, plan.warm_up, &mut |_| {})?;
    finish(&mut crowd)?;

    observer(&Phase::Measuring { done: Duration::ZERO });
    let (begin, ran) = (crowd.now(), running()?);
    crowd.tally.begin();
    let tell = &mut |done| observer(&Phase::Measuring { done });
    let unsent = go_on(&mut crowd, plan, plan.time, tell)?;
    finish(&mut crowd)?;
    let elapsed =
        Duration::from_nanos(crowd.tally.last.saturating_sub(begin)).max(plan.time);
    let ran = running()?.saturating_sub(ran);
    observer(&Phase::Finished);

    let idle =
        crowd.connections[plan.connections..].iter().filter(|one| one.is_open()).count();
    let tally = crowd.tally;
    Ok(Outcome {
        requests: tally.requests,
        bytes: tally.bytes,
        elapsed,
        latency: tally.latency,
        errors: tally.errors,
        unsent,
        idle,
        client_busy: ran.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

/// Makes all connections, those that are held beside first. Who closes after each answer
/// connects when asking begins.
fn open(
    crowd: &mut Crowd<'_>,
    plan: &Plan,
    observer: &mut dyn FnMut(&Phase),
) -> io::Result<()> {
    let (all, mut allowed) = (plan.connections + plan.idle, AT_ONCE);
    let mut places = (plan.connections..all)
        .chain(0..if plan.keep_alive { plan.connections } else { 0 })
        .peekable();
    let (mut heard, mut told) = (crowd.now(), 0);
    loop {
        while crowd.under_way() < allowed
            && let Some(place) = places.next()
        {
            crowd.begin(place)?;
        }
        let waiting = crowd.under_way();
        if waiting == 0 && places.peek().is_none() {
            return Ok(());
        }
        crowd.turn(heard + QUIET)?;
        let now = crowd.now();
        if now >= told + STEP {
            told = now;
            let open = crowd.connections.iter().filter(|one| one.served).count();
            observer(&Phase::Opening { open });
        }
        if crowd.under_way() < waiting {
            heard = now;
        } else if now >= heard + QUIET {
            if places.peek().is_none() {
                return Ok(());
            }
            (heard, allowed) = (now, allowed + AT_ONCE);
        }
    }
}

/// Has everybody ask for so long. What was due and not sent, in the open loop.
fn go_on(
    crowd: &mut Crowd<'_>,
    plan: &Plan,
    time: Duration,
    tell: &mut dyn FnMut(Duration),
) -> io::Result<u64> {
    if time.is_zero() {
        return Ok(0);
    }
    let begin = crowd.now();
    let end = begin + time.as_nanos() as u64;
    crowd.pace = plan.rate.map(|rate| Pace::new(rate, begin, end, plan.connections));
    crowd.start_asking()?;
    let mut now = crowd.now();
    let mut told = now;
    while now < end {
        crowd.turn(end.min(told + STEP))?;
        now = crowd.now();
        if now >= told + STEP {
            told = now;
            tell(Duration::from_nanos(now - begin));
        }
    }
    crowd.stop_asking()
}

/// Waits for what has been asked.
fn finish(crowd: &mut Crowd<'_>) -> io::Result<()> {
    while crowd.under_way() > 0 {
        crowd.turn(crowd.now() + STEP)?;
    }
    Ok(())
}

/// Raises the soft limit to the hard one, and sees whether that is enough.
fn descriptors(needed: usize) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let needed = nix::libc::rlim_t::try_from(needed).unwrap_or(nix::libc::rlim_t::MAX);
    if soft >= needed {
        return Ok(());
    }
    if hard < needed
        || setrlimit(Resource::RLIMIT_NOFILE, needed.max(soft), hard).is_err()
    {
        return Err(io::Error::other(format!(
            "so many connections need {needed} descriptors, and this process may have {hard}; \
             raise the limit (ulimit -Hn), or ask for fewer connections"
        )));
    }
    Ok(())
}
