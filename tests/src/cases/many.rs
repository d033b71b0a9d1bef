//! Many clients at the same time: the capabilities and limitations of each kind of server.

use crate::case::Kind::Book;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::environment::require_descriptors;
use crate::proc;
use crate::profile::Capability::{AnyNumber, BeyondFdSetsize, IdleForFree, ManyClients};
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// Sends one request and asserts the response, which proves that the server has accepted the
/// connection. Without a response, the connection may still be in the kernel's accept queue.
pub(super) fn round_trip(client: &mut Client) -> Verdict {
    client.send(get("/plaintext"))?;
    client.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

pub(super) fn hold(ctx: &mut Ctx<'_>, count: usize) -> CaseResult<Vec<Client>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = ctx.client()?;
        round_trip(&mut client)?;
        held.push(client);
    }
    Ok(held)
}

/// Asserts that other clients are served while one client has sent `bytes` and waits.
fn served_beside(ctx: &mut Ctx<'_>, bytes: &[u8]) -> Verdict {
    let mut waiting = ctx.small_client()?;
    round_trip(&mut waiting)?;
    waiting.send(bytes)?;
    waiting.note("waits");
    for _ in 0..3 {
        let mut other = ctx.client()?;
        round_trip(&mut other)?;
    }
    Ok(())
}

/// Asserts the limitation of a server with a fixed number of workers.
///
/// Every worker is occupied by a client. One more client gets nothing while an occupying client
/// completes fifty round trips; when the occupying client leaves, the additional client is
/// answered.
fn assert_one_more_starves(ctx: &mut Ctx<'_>) -> Verdict {
    let (workers, options) = ctx.profile.capacity().unwrap_or((1, &[]));
    ctx.serve(options)?;
    let mut held = hold(ctx, workers)?;
    let mut waiting = ctx.client()?;
    waiting.send(get("/plaintext"))?;
    let Some(busy) = held.first_mut() else { return Ok(()) };
    for _ in 0..50 {
        round_trip(busy)?;
        waiting.assert_no_data("every worker is occupied by another client")?;
    }
    held.remove(0).close();
    waiting.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

fn processes_and_threads(pid: u32) -> CaseResult<usize> {
    let counted = proc::children(pid).map(|all| all.len()).zip(proc::threads(pid));
    let (children, threads) = counted.ok_or_else(proc::unreported)?;
    Ok(children + threads)
}

fn assert_cost_per_client(ctx: &mut Ctx<'_>, per_client: bool) -> Verdict {
    const CLIENTS: usize = 40;
    let pid = ctx.pid()?;
    let at_start = processes_and_threads(pid)?;
    drop(hold(ctx, 1)?);
    // The server may create permanent threads when the first client connects, so processes and
    // threads are counted only after that client has left.
    ctx.poll_until("no child process of the first client is left", |_| {
        let left = proc::children(pid).map_or(0, |all| all.len());
        Ok(if left == 0 || !per_client {
            Ok(())
        } else {
            Err(format!("{left} children"))
        })
    })?;
    let mut before = processes_and_threads(pid)?;
    if per_client {
        ctx.poll_until("the first client's thread or process has ended", |_| {
            let now = processes_and_threads(pid)?;
            before = before.min(now);
            Ok(if now <= at_start {
                Ok(())
            } else {
                Err(format!("{now} processes and threads"))
            })
        })
        .or(Ok(()))?;
    }
    let held = hold(ctx, CLIENTS)?;
    let with = processes_and_threads(pid)?;
    let note = format!(
        "{before} threads and children before, {with} with {CLIENTS} idle clients"
    );
    if per_client {
        ensure(
            with >= before + CLIENTS,
            format!("at least {CLIENTS} more threads or processes"),
            note,
        )?;
    } else {
        ensure(
            with < before + CLIENTS / 2,
            "no thread or process for each client",
            note,
        )?;
    }
    drop(held);
    ctx.poll_until("the threads and processes end with their clients", |_| {
        let now = processes_and_threads(pid)?;
        Ok(if now <= before {
            Ok(())
        } else {
            Err(format!("{before} before, {now} now"))
        })
    })
}

fn idle_costs(ctx: &mut Ctx<'_>) -> Verdict {
    if ctx.profile.idle_cost().is_some() {
        assert_cost_per_client(ctx, true)
    } else {
        assert_one_more_starves(ctx)
    }
}

fn assert_fd_setsize_limit(ctx: &mut Ctx<'_>) -> Verdict {
    // The server `select` supports descriptors 0 to 1023, and needs some of them for the listener
    // and other purposes.
    require_descriptors(1100)?;
    let mut held = Vec::new();
    for _ in 0..1100 {
        let mut client = ctx.client()?;
        client.send(get("/plaintext"))?;
        let answer = client.response()?;
        if answer.status == 503 {
            client.assert_closed()?;
            return held.first_mut().map_or(Ok(()), round_trip);
        }
        answer.is(200)?;
        held.push(client);
    }
    Err(Abort::fail(
        "503 for the client whose descriptor is FD_SETSIZE or above",
        "1,100 clients served at the same time",
    ))
}

const MANY: &[Need] = &[Need::Many, Need::Plaintext];

pub(super) const CASES: &[Case] = &[
    case(
        "second_client",
        Book,
        "contract, accept(2)",
        "A second client is served while the first keeps its connection open",
        |ctx| {
            let mut first = ctx.client()?;
            round_trip(&mut first)?;
            for _ in 0..50 {
                let mut other = ctx.client()?;
                round_trip(&mut other)?;
            }
            round_trip(&mut first)
        },
    )
    .without(ManyClients, assert_one_more_starves)
    .needs(&[Need::Plaintext]),
    case(
        "beside_a_silent_client",
        Book,
        "read(2)",
        "Others are served while a new client sends nothing",
        |ctx| {
            let _silent = ctx.client()?;
            let mut other = ctx.client()?;
            round_trip(&mut other)
        },
    )
    .needs(MANY),
    case(
        "beside_half_a_head",
        Book,
        "read(2)",
        "Others are served while a client has sent half a head",
        |ctx| served_beside(ctx, b"GET /plaintext HT"),
    )
    .needs(MANY),
    case(
        "beside_half_a_content",
        Book,
        "read(2)",
        "Others are served while a client has sent half a content",
        |ctx| {
            served_beside(
                ctx,
                b"POST /echo HTTP/1.1\r\nHost: suite\r\nContent-Length: 10\r\n\r\n12345",
            )
        },
    )
    .needs(MANY),
    case(
        "beside_one_that_never_reads",
        Book,
        "write(2)",
        "Others are served while a client does not read its response",
        |ctx| served_beside(ctx, &get("/bytes/100000000")),
    )
    .needs(MANY),
    case(
        "beside_one_that_never_reads_a_file",
        Book,
        "sendfile(2)",
        "Others are served while a client does not read its file",
        |ctx| served_beside(ctx, &get("/large.bin").repeat(10)),
    )
    .needs(&[Need::Many, Need::Plaintext, Need::Files]),
    case(
        "beside_a_sleeper",
        Book,
        "nanosleep(2)",
        "Others are served while one response sleeps",
        |ctx| {
            let mut sleeper = ctx.client()?;
            sleeper.send(get("/sleep/50000"))?;
            sleeper.wait_until_read();
            let mut other = ctx.client()?;
            round_trip(&mut other)?;
            sleeper.assert_no_data("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Plaintext]),
    case(
        "sleepers_together",
        Book,
        "nanosleep(2)",
        "A later request with a shorter sleep is answered first",
        |ctx| {
            let mut long = ctx.client()?;
            long.send(get("/sleep/50000"))?;
            long.wait_until_read();
            let mut short = ctx.client()?;
            short.send(get("/sleep/100"))?;
            short.response()?.is(200)?.has_content("slept 100 ms\n")?;
            long.assert_no_data("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep]),
    case(
        "two_hundred",
        Book,
        "accept(2)",
        "200 connected clients are served in any order",
        |ctx| {
            let mut held = hold(ctx, 200)?;
            for client in held.iter_mut().rev() {
                round_trip(client)?;
            }
            Ok(())
        },
    )
    .clients(205)
    .needs(MANY),
    case(
        "any_number",
        Book,
        "accept(2)",
        "One more client is served, however many are connected",
        |ctx| {
            let mut held = hold(ctx, 60)?;
            let mut other = ctx.client()?;
            round_trip(&mut other)?;
            held.first_mut().map_or(Ok(()), round_trip)
        },
    )
    .without(AnyNumber, assert_one_more_starves)
    .needs(&[Need::Plaintext]),
    case(
        "idle_for_free",
        Book,
        "proc(5)",
        "Forty idle clients do not occupy forty threads or processes",
        |ctx| assert_cost_per_client(ctx, false),
    )
    .without(IdleForFree, idle_costs)
    .needs(&[Need::Many, Need::Plaintext, Need::Process]),
    case(
        "beyond_fd_setsize",
        Book,
        "select(2)",
        "1,100 clients are served at the same time",
        |ctx| {
            require_descriptors(1100)?;
            let mut held = hold(ctx, 1100)?;
            held.last_mut().map_or(Ok(()), round_trip)
        },
    )
    .without(BeyondFdSetsize, assert_fd_setsize_limit)
    .needs(MANY)
    .clients(1101)
    .level(3),
];
