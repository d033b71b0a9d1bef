//! Exhaustion: no descriptor, thread, or process is left. Connections that are being served must
//! not be affected, and when resources are available again, other clients must be served.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::idle::{assert_busy, assert_idle};
use super::known;
use super::startup::assert_reported;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::cases::shutdown::assert_clean_exit;
use crate::client::{Client, Peek};
use crate::ctx::{Ctx, get};
use crate::proc;
use crate::profile::Capability::{AtRest, ManyClients};
use crate::profile::Model;
use crate::rlimits::Rlimits;
use crate::target::copy_program;
use crate::timeout::timeout;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// The section of the book that explains the cases of this file.
const BOOK_SECTION: &str =
    "Chapter 1, \"No descriptor left\"; The contract, \"Refusals\"";

/// Connects up to `most` clients, until a client is not served. Returns the served clients, and the
/// client that got no response, or `None` if the server refused the last client or served all.
fn connect_until_not_served(
    ctx: &mut Ctx<'_>,
    most: usize,
) -> CaseResult<(Vec<Client>, Option<Client>)> {
    let mut served = Vec::new();
    for _ in 0..most {
        let mut client = ctx.client()?;
        client.send(get("/plaintext"))?;
        match client.peek(Duration::from_millis(700)) {
            Peek::Nothing => return Ok((served, Some(client))),
            Peek::End(_) => {
                return Err(Abort::fail(
                    "a response, a 503, or an open connection",
                    "the server closed the connection without a response",
                ));
            }
            Peek::Bytes => {
                let answer = client.response()?;
                if answer.status == 503 {
                    ensure(
                        answer.field("Retry-After").is_some(),
                        "a Retry-After field",
                        "none",
                    )?;
                    client.assert_closed()?;
                    return Ok((served, None));
                }
                // If `lenient` is set, the server may also refuse with a status other than 503.
                if ctx.lenient && answer.status >= 400 {
                    return Ok((served, None));
                }
                answer.is(200)?;
                served.push(client);
            }
        }
    }
    Ok((served, None))
}

/// Returns the status of a response that may come late, or `None` if the server answers another
/// client fifty times and never answers `client`. No clock decides, because on a busy machine every
/// client is slow.
fn late_status(client: &mut Client, others: &mut [Client]) -> CaseResult<Option<u16>> {
    for _ in 0..50 {
        let timeout = match others.last_mut() {
            None => timeout(),
            Some(other) => {
                other.send(get("/plaintext"))?;
                other.response()?.is(200)?;
                Duration::from_millis(10)
            }
        };
        if client.peek(timeout) != Peek::Nothing {
            return Ok(Some(client.response()?.one_of(&[200, 503])?.status));
        }
    }
    Ok(None)
}

/// Asserts that the served clients are still served, and that other clients are served after the
/// served clients have left.
fn assert_recovers(
    ctx: &mut Ctx<'_>,
    served: Vec<Client>,
    waiting: Option<Client>,
) -> Verdict {
    let mut served = served;
    for client in &mut served {
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?;
    }
    drop(served);
    if let Some(mut client) = waiting {
        client.response()?.one_of(&[200, 503])?;
        client.close();
    }
    ctx.poll_until("the server serves new clients again", |ctx| {
        let answer = ctx.get("/plaintext")?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(answer.status.to_string()) })
    })
}

/// Asserts that a server that cannot create all its workers reports the failure in one line and
/// exits.
///
/// If the server ran with fewer workers, it would be exhausted later, for a reason that is hard to
/// find.
fn assert_does_not_start(ctx: &mut Ctx<'_>, workers: &str, few: Rlimits) -> Verdict {
    let Some(failed) = ctx.try_serve(&[(workers, "50")], few)? else {
        return Err(Abort::fail(
            "a server that does not start",
            "it prints `listening on`",
        ));
    };
    let helpful = failed.stderr.contains(&format!("--{workers}"));
    ensure(helpful, format!("a line that names --{workers}"), &failed.stderr)?;
    assert_reported(ctx, &failed)
}

/// Sets a process's limit on descriptors (`soft:hard`, as in prlimit(1)). Descriptors that are open
/// stay open.
fn limit_descriptors(pid: u32, limit: &str) -> Verdict {
    let mut prlimit = Command::new("prlimit");
    prlimit.args([format!("--pid={pid}"), format!("--nofile={limit}")]);
    match prlimit.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Abort::skip(format!("prlimit: {status}"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Abort::skip("this system has no prlimit(1)"))
        }
        Err(error) => Err(Abort::skip(format!("prlimit: {error}"))),
    }
}

pub(super) const CASES: &[Case] = &[
    case("out_of_descriptors", Security, "accept(2), EMFILE", "When the server runs out of descriptors, open connections are still served, and it recovers", |ctx| {
        ctx.serve_with_rlimits(&[], Rlimits { descriptors: Some(24), ..Rlimits::default() })?;
        for _ in 0..2 {
            let (served, waiting) = connect_until_not_served(ctx, 40)?;
            assert_recovers(ctx, served, waiting)?;
        }
        Ok(())
    })
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .may_log()
    .book(BOOK_SECTION),
    case("one_process_out_of_descriptors", Security, "accept(2), EMFILE; epoll_ctl(2), EPOLLEXCLUSIVE", "When one process of the server has no descriptor left for a client, another one accepts it", |ctx| {
        if let Some(workers) = ctx.profile.workers_option() {
            ctx.serve(&[(workers, "4")])?;
            let pid = ctx.pid()?;
            ctx.poll_until("the server has 4 child processes", |_| {
                let count = known(proc::children(pid))?.len();
                Ok(if count == 4 { Ok(()) } else { Err(format!("it has {count}")) })
            })?;
        }
        ctx.assert_healthy()?;
        let pid = ctx.pid()?;
        let children: Vec<_> = known(proc::children(pid))?.iter().map(|c| c.pid).collect();
        // A server with a single child process is not tried, because no other process could serve
        // the client while that one has no descriptors.
        for &process in children.iter().filter(|_| children.len() > 1) {
            limit_descriptors(process, "0:")?;
            // A process whose accept(2) fails for want of a descriptor pauses before it calls
            // accept(2) again, for less than 200 ms in the book's servers. Check that another
            // process serves a new client, both at once and after that pause.
            ctx.assert_healthy()?;
            std::thread::sleep(Duration::from_millis(200));
            ctx.assert_healthy()?;
            limit_descriptors(process, "1000:")?;
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Plaintext])
    .only(&[Model::PoolOfProcesses, Model::Events { select: false }, Model::Coroutines])
    .may_log()
    .book(BOOK_SECTION),
    case("fewer_descriptors_allowed", Security, "poll(2), EINVAL; setrlimit(2)", "When the limit of descriptors is set below those in use, open connections are still served, the server does not spin, and SIGTERM ends it", |ctx| {
        let count = if ctx.profile.has(ManyClients) { 12 } else { 1 };
        let mut held = hold(ctx, count)?;
        let pid = ctx.pid()?;
        let children = known(proc::children(pid))?;
        for process in children.iter().map(|child| child.pid).chain([pid]) {
            limit_descriptors(process, "0:")?;
        }
        // Each client sends two requests: the server may have begun to wait for the first one
        // before the limit was lowered, but waits for the second one afterwards.
        for _ in 0..2 {
            for client in &mut held {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
        }
        let waiting = ctx.client()?; // the server has no descriptor for this client
        if ctx.profile.has(AtRest) {
            assert_idle(ctx)?;
        }
        drop(waiting);
        ctx.server()?.signal(Signal::SIGTERM)?;
        for client in &mut held {
            client.assert_closed()?;
        }
        assert_clean_exit(ctx)
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_log()
    .book(BOOK_SECTION),
    case("out_of_descriptors_for_a_file", Security, "open(2), EMFILE", "When the server runs out of descriptors, a file is 503 (or delayed), never 404, and later it is served", |ctx| {
        ctx.serve_with_rlimits(&[], Rlimits { descriptors: Some(24), ..Rlimits::default() })?;
        let (mut served, waiting) = connect_until_not_served(ctx, 40)?;
        if let Some(client) = served.first_mut() {
            client.send(get("/hello.txt"))?;
            client.response()?.one_of(&[200, 503])?;
        }
        served.drain(..served.len().min(1));
        assert_recovers(ctx, served, waiting)?;
        ctx.poll_until("the file is served", |ctx| {
            let answer = ctx.get("/hello.txt")?;
            Ok(if answer.status == 200 { Ok(()) } else { Err(answer.status.to_string()) })
        })
    })
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many, Need::Files])
    .may_log()
    .book(BOOK_SECTION),
    case("out_of_descriptors_is_no_work", Security, "accept(2), EMFILE", "When the server runs out of descriptors while clients wait, it does not spin", |ctx| {
        let limits = Rlimits { descriptors: Some(24), ..Rlimits::default() };
        // On a very busy machine a minute may pass before the first client sends its second
        // request, so the idle timeout is ten minutes.
        ctx.serve_with_rlimits(&[("idle-timeout", "600")], limits)?;
        let (served, waiting) = connect_until_not_served(ctx, 40)?;
        let mut more = Vec::new();
        for _ in 0..10 {
            more.push(ctx.client()?);
        }
        assert_idle(ctx)?;
        drop(more);
        assert_recovers(ctx, served, waiting)
    })
    .lasts(2)
    .without(AtRest, assert_busy)
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .may_log()
    .book(BOOK_SECTION),
    case("out_of_processes", Security, "fork(2), pthread_create(3), EAGAIN", "When no thread or process can be created, the client gets 503, others are still served, and the server recovers", |ctx| {
        let (_kept, own) = copy_program(ctx.target)?;
        let mut other = Ctx::new(&own, ctx.profile, ctx.root.clone());
        other.log = ctx.log.clone();
        let few = Rlimits { processes: Some(8), ..Rlimits::default() };
        if let Some(workers) = ctx.profile.workers_option() {
            return assert_does_not_start(&mut other, workers, few);
        }
        other.serve_with_rlimits(&[], few)?;
        for _ in 0..2 {
            let (mut served, waiting) = connect_until_not_served(&mut other, 20)?;
            if let Some(mut waiting) = waiting {
                match late_status(&mut waiting, &mut served)? {
                    Some(503) => {}
                    Some(_) => served.push(waiting),
                    None => return Err(Abort::fail("503 for the client that cannot be served", "no response")),
                }
            }
            assert_recovers(&mut other, served, None)?;
        }
        other.finish(true)
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .book(BOOK_SECTION),
];
