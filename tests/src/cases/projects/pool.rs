//! A pool that grows and shrinks: as many workers as the clients need, within two bounds.
//!
//! A worker serves one connection at a time. The server starts with `--min-threads` workers, adds
//! one when a client waits and none is free, up to `--max-threads`, and a worker that has had no
//! client for `--shrink-after` seconds ends, unless only `--min-threads` are left. `/stats` has one
//! more number, `workers`.

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::many::{hold, round_trip};
use crate::cases::shutdown::{assert_clean_exit, terminate};
use crate::client::Client;
use crate::ctx::{Ctx, counter_in, get, get_and_close};
use crate::proc;
use crate::verdict::{CaseResult, Verdict, ensure};

const NEEDS: &[Need] = &[Need::Plaintext, Need::Stats];
const CITE: &str = "project, A pool that grows and shrinks";

/// A timeout, in seconds, longer than any case lasts.
const NEVER: &str = "3600";

/// Starts the server with at least `min` and at most `max` workers, which end after `shrink_after`
/// seconds without a client.
fn serve(ctx: &mut Ctx<'_>, min: &str, max: &str, shrink_after: &str) -> Verdict {
    ctx.serve(&[
        ("min-threads", min),
        ("max-threads", max),
        ("shrink-after", shrink_after),
    ])
}

/// Requests `/stats` on an existing connection, and returns the number called `name` in the
/// response.
fn stat(client: &mut Client, name: &str) -> CaseResult<u64> {
    client.send(get("/stats"))?;
    counter_in(&client.response()?, name)
}

/// Asserts the number of workers, as `/stats` reports it on an existing connection.
fn assert_workers(client: &mut Client, wanted: u64, why: &str) -> Verdict {
    let workers = stat(client, "workers")?;
    ensure(
        workers == wanted,
        format!("`workers` in /stats is {wanted}: {why}"),
        format!("workers: {workers}"),
    )
}

/// Polls `/stats` on an existing connection until the number called `name` has the value `value`.
fn poll_until(ctx: &mut Ctx<'_>, client: &mut Client, name: &str, value: u64) -> Verdict {
    ctx.poll_until(&format!("`{name}` in /stats is {value}"), |_| {
        let now = stat(client, name)?;
        Ok(if now == value { Ok(()) } else { Err(format!("{name}: {now}")) })
    })
}

pub(super) const CASES: &[Case] = &[
    case(
        "starts_small",
        Contract,
        CITE,
        "The server starts with --min-threads workers",
        |ctx| {
            for min in [1, 3] {
                serve(ctx, &min.to_string(), "8", NEVER)?;
                let mut client = ctx.client()?;
                round_trip(&mut client)?;
                assert_workers(&mut client, min, "one client needs no more")?;
            }
            Ok(())
        },
    )
    .needs(NEEDS),
    case(
        "grows_for_waiting_clients",
        Contract,
        CITE,
        "Clients for which no worker is free get new workers, up to --max-threads",
        |ctx| {
            serve(ctx, "1", "6", NEVER)?;
            let mut held = hold(ctx, 6)?;
            held.iter_mut().try_for_each(round_trip)?;
            assert_workers(&mut held[0], 6, "six clients are connected")
        },
    )
    .needs(NEEDS)
    .clients(6),
    case(
        "grows_no_further",
        Contract,
        CITE,
        "With --max-threads workers occupied, one more client waits, and is served when a client leaves",
        |ctx| {
            serve(ctx, "1", "4", NEVER)?;
            let mut held = hold(ctx, 4)?;
            let mut waiting = ctx.client()?;
            waiting.send(get("/plaintext"))?;
            let mut busy = held.remove(0);
            for _ in 0..50 {
                round_trip(&mut busy)?;
                waiting.assert_no_data("every worker is occupied by another client")?;
            }
            assert_workers(&mut busy, 4, "--max-threads is 4")?;
            busy.close();
            waiting.response()?.is(200)?.has_content("Hello, World!").map(drop)
        },
    )
    .needs(NEEDS)
    .clients(5),
    case(
        "one_after_another",
        Contract,
        CITE,
        "Clients that come one after another, when workers are free, start no more workers",
        |ctx| {
            serve(ctx, "3", "16", NEVER)?;
            let mut watcher = ctx.client()?;
            round_trip(&mut watcher)?;
            for _ in 0..30 {
                let mut client = ctx.client()?;
                round_trip(&mut client)?;
                client.close();
                poll_until(ctx, &mut watcher, "open", 1)?;
            }
            assert_workers(&mut watcher, 3, "two of them were free at any time")
        },
    )
    .needs(NEEDS)
    .clients(2),
    case(
        "shrinks_after_a_crowd",
        Contract,
        CITE,
        "When the crowd has left for --shrink-after seconds, --min-threads workers are left",
        |ctx| {
            serve(ctx, "2", "10", "0.5")?;
            let mut held = hold(ctx, 10)?;
            let mut watcher = held.remove(0);
            assert_workers(&mut watcher, 10, "ten clients are connected")?;
            let threads = |ctx: &mut Ctx<'_>| ctx.pid().ok().and_then(proc::threads);
            let before = threads(ctx).filter(|threads| *threads >= 10);
            held.into_iter().for_each(Client::close);
            poll_until(ctx, &mut watcher, "workers", 2)?;
            let Some(before) = before else {
                return Ok(()); // the system does not report the server's threads
            };
            ctx.poll_until("eight threads of the server have ended", |ctx| {
                let now = threads(ctx).unwrap_or(0);
                let gone = now + 8 <= before;
                Ok(if gone { Ok(()) } else { Err(format!("{before} threads before, now {now}")) })
            })
        },
    )
    .needs(NEEDS)
    .clients(10),
    case(
        "keeps_workers_for_a_while",
        Contract,
        CITE,
        "A worker without a client does not end before --shrink-after seconds have passed",
        |ctx| {
            serve(ctx, "1", "6", NEVER)?;
            let mut held = hold(ctx, 6)?;
            let mut watcher = held.remove(0);
            held.into_iter().for_each(Client::close);
            poll_until(ctx, &mut watcher, "open", 1)?;
            for _ in 0..50 {
                round_trip(&mut watcher)?;
                assert_workers(&mut watcher, 6, "--shrink-after has not passed")?;
            }
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(6),
    case(
        "occupied_workers_stay",
        Contract,
        CITE,
        "A worker whose client is connected and silent does not end, however long",
        |ctx| {
            serve(ctx, "1", "5", "0.2")?;
            let mut held = hold(ctx, 5)?;
            let mut watcher = held.remove(0);
            for _ in 0..3 {
                watcher.send(get("/sleep/300"))?;
                watcher.response()?.is(200)?;
                assert_workers(&mut watcher, 5, "five clients are connected")?;
            }
            held.iter_mut().try_for_each(round_trip)
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Sleep])
    .clients(5),
    case(
        "grows_again",
        Contract,
        CITE,
        "After the pool has shrunk, it grows again, several times",
        |ctx| {
            serve(ctx, "1", "6", "0.1")?;
            for _ in 0..3 {
                let mut held = hold(ctx, 6)?;
                assert_workers(&mut held[0], 6, "six clients are connected")?;
                let mut watcher = held.remove(0);
                held.into_iter().for_each(Client::close);
                poll_until(ctx, &mut watcher, "workers", 1)?;
                watcher.close();
            }
            ctx.assert_healthy()
        },
    )
    .needs(NEEDS)
    .clients(6),
    case(
        "panics_cost_no_worker",
        Contract,
        CITE,
        "A panic of the application costs no worker: the pool still reaches --max-threads, and goes no further",
        |ctx| {
            serve(ctx, "2", "4", NEVER)?;
            for _ in 0..8 {
                ctx.get("/panic")?.is(500)?;
            }
            let mut held = hold(ctx, 4)?;
            assert_workers(&mut held[0], 4, "four clients are connected")
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Panic])
    .clients(4)
    .may_log(),
    case(
        "stops_in_order",
        Contract,
        CITE,
        "After SIGTERM a grown pool finishes its responses, and the server exits with status 0",
        |ctx| {
            serve(ctx, "1", "6", NEVER)?;
            let held = hold(ctx, 3)?;
            let mut sleepers = Vec::new();
            for _ in 0..3 {
                let mut client = ctx.client()?;
                round_trip(&mut client)?;
                client.send(get_and_close("/sleep/500"))?;
                client.wait_until_read();
                sleepers.push(client);
            }
            terminate(ctx)?;
            for client in &mut sleepers {
                client.response()?.is(200)?.has_content("slept 500 ms\n")?;
                client.assert_closed()?;
            }
            drop((held, sleepers));
            assert_clean_exit(ctx)
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Sleep, Need::Process])
    .clients(6),
];
