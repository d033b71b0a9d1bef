//! Many clients at once: what each kind of server can do, and what it cannot.

use crate::case::Kind::Book;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::proc;
use crate::stage::Capability::{AnyNumber, BeyondFdSetsize, IdleForFree, ManyClients};
use crate::surroundings::room_for;
use crate::verdict::{Step, Stop, Verdict, demand};

/// One round trip: proof that the server itself, not the kernel's queue of
/// accepted connections, has this client.
pub(super) fn round_trip(client: &mut Client) -> Verdict {
    client.send(get("/plaintext"))?;
    client.response()?.is(200)?.holds("Hello, World!").map(drop)
}

pub(super) fn hold(ctx: &mut Ctx<'_>, count: usize) -> Step<Vec<Client>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = ctx.client()?;
        round_trip(&mut client)?;
        held.push(client);
    }
    Ok(held)
}

/// A waits in a way of its own; B must be answered meanwhile.
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

/// As many clients as the server serves at once are held; one more has nothing
/// while a held one completes fifty round trips; when that one goes, the other
/// is answered.
fn starves_one_more(ctx: &mut Ctx<'_>) -> Verdict {
    let (workers, options) = ctx.stage.at_once().unwrap_or((1, &[]));
    ctx.serve(options)?;
    let mut held = hold(ctx, workers)?;
    let mut waiting = ctx.client()?;
    waiting.send(get("/plaintext"))?;
    let Some(busy) = held.first_mut() else { return Ok(()) };
    for _ in 0..50 {
        round_trip(busy)?;
        waiting.has_nothing(
            "this server has no worker for it while the others keep theirs",
        )?;
    }
    held.remove(0).close();
    waiting.response()?.is(200)?.holds("Hello, World!").map(drop)
}

fn processes_and_threads(pid: u32) -> Step<usize> {
    let counted = proc::children(pid).map(|all| all.len()).zip(proc::threads(pid));
    let (children, threads) =
        counted.ok_or_else(|| Stop::skip("no /proc on this system"))?;
    Ok(children + threads)
}

fn counts_up_and_down(ctx: &mut Ctx<'_>, per_client: bool) -> Verdict {
    const CLIENTS: usize = 40;
    let pid = ctx.pid()?;
    let at_start = processes_and_threads(pid)?;
    drop(hold(ctx, 1)?);
    // The server may make what it needs once at its first client.
    ctx.until("nothing is left of the first client", |_| {
        let left = proc::children(pid).map_or(0, |all| all.len());
        Ok(if left == 0 || !per_client {
            Ok(())
        } else {
            Err(format!("{left} children"))
        })
    })?;
    let mut before = processes_and_threads(pid)?;
    if per_client {
        ctx.until("the first client's thread or process has ended", |_| {
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
        demand(
            with >= before + CLIENTS,
            format!("at least {CLIENTS} more threads or processes"),
            note,
        )?;
    } else {
        demand(
            with < before + CLIENTS / 2,
            "no thread or process for each client",
            note,
        )?;
    }
    drop(held);
    ctx.until("the threads and processes end with their clients", |_| {
        let now = processes_and_threads(pid)?;
        Ok(if now <= before {
            Ok(())
        } else {
            Err(format!("{before} before, {now} now"))
        })
    })
}

fn idle_costs(ctx: &mut Ctx<'_>) -> Verdict {
    if ctx.stage.cost_of_idle().is_some() {
        counts_up_and_down(ctx, true)
    } else {
        starves_one_more(ctx)
    }
}

fn refuses_beyond(ctx: &mut Ctx<'_>) -> Verdict {
    // Descriptors 0 to 1023 fit; the listener and a few others take theirs.
    room_for(1100)?;
    let mut held = Vec::new();
    for _ in 0..1100 {
        let mut client = ctx.client()?;
        client.send(get("/plaintext"))?;
        let answer = client.response()?;
        if answer.status == 503 {
            client.ends()?;
            return held.first_mut().map_or(Ok(()), round_trip);
        }
        answer.is(200)?;
        held.push(client);
    }
    Err(Stop::fail(
        "503 for the client whose descriptor does not fit",
        "1100 clients at once",
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
    .about(ManyClients, starves_one_more)
    .needs(&[Need::Plaintext]),
    case(
        "beside_a_silent_client",
        Book,
        "read(2)",
        "Others are served while a new client says nothing",
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
        "Others are served while a head is half there",
        |ctx| served_beside(ctx, b"GET /plaintext HT"),
    )
    .needs(MANY),
    case(
        "beside_half_a_content",
        Book,
        "read(2)",
        "Others are served while content is half there",
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
        "Others are served while one does not read its answer",
        |ctx| served_beside(ctx, &get("/bytes/100000000")),
    )
    .needs(MANY),
    case(
        "beside_one_that_never_reads_a_file",
        Book,
        "sendfile(2)",
        "Others are served while one does not read its file",
        |ctx| served_beside(ctx, &get("/large.bin").repeat(10)),
    )
    .needs(&[Need::Many, Need::Plaintext, Need::Files]),
    case(
        "beside_a_sleeper",
        Book,
        "nanosleep(2)",
        "Others are served while one answer sleeps",
        |ctx| {
            let mut sleeper = ctx.client()?;
            sleeper.send(get("/sleep/50000"))?;
            sleeper.drained();
            let mut other = ctx.client()?;
            round_trip(&mut other)?;
            sleeper.has_nothing("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Plaintext]),
    case(
        "sleepers_together",
        Book,
        "nanosleep(2)",
        "The short sleeper that came later is done first",
        |ctx| {
            let mut long = ctx.client()?;
            long.send(get("/sleep/50000"))?;
            long.drained();
            let mut short = ctx.client()?;
            short.send(get("/sleep/100"))?;
            short.response()?.is(200)?.holds("slept 100 ms\n")?;
            long.has_nothing("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep]),
    case(
        "two_hundred",
        Book,
        "accept(2)",
        "Two hundred clients are held and served in turn, in any order",
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
        "However many wait, one more is served",
        |ctx| {
            let mut held = hold(ctx, 60)?;
            let mut other = ctx.client()?;
            round_trip(&mut other)?;
            held.first_mut().map_or(Ok(()), round_trip)
        },
    )
    .about(AnyNumber, starves_one_more)
    .needs(&[Need::Plaintext]),
    case(
        "idle_for_free",
        Book,
        "proc(5)",
        "Forty idle clients hold no forty threads or processes",
        |ctx| counts_up_and_down(ctx, false),
    )
    .about(IdleForFree, idle_costs)
    .needs(&[Need::Many, Need::Plaintext, Need::Process]),
    case(
        "beyond_fd_setsize",
        Book,
        "select(2)",
        "1,100 clients at once are served",
        |ctx| {
            room_for(1100)?;
            let mut held = hold(ctx, 1100)?;
            held.last_mut().map_or(Ok(()), round_trip)
        },
    )
    .about(BeyondFdSetsize, refuses_beyond)
    .needs(MANY)
    .level(3),
];
