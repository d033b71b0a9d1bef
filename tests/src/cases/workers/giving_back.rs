//! A worker is given back: when a deadline has ended its client, when the application fails.

use std::time::Duration;

use super::{NEVER, POOLS, STATS, counter, few, one_more};
use crate::case::Kind::{Book, Contract};
use crate::case::{Case, Need, case};
use crate::cases::many::{hold, round_trip};
use crate::client::Seen;
use crate::ctx::{Ctx, get, request};
use crate::verdict::{Verdict, demand};

const BACK: &str = "Chapter 2, \"Every deadline gives a worker back\"";

/// All workers but one are stuck in one way, and the last one is in use. Somebody else
/// asks, and has nothing until a deadline has ended a stuck one.
fn gives_back(ctx: &mut Ctx<'_>, deadline: &str, bytes: &[u8]) -> Verdict {
    let (workers, few) = few(ctx.stage);
    let deadlines = ["idle-timeout", "head-timeout", "body-timeout", "write-timeout"]
        .map(|name| (name, if name == deadline { "2" } else { NEVER }));
    let others = [("body-rate", "0"), ("linger-timeout", "0.2")];
    ctx.serve(&[few, &deadlines, &others].concat())?;
    let mut stuck = Vec::new();
    for _ in 1..workers {
        let mut client = ctx.small_client()?;
        round_trip(&mut client)?;
        client.send(bytes)?;
        client.note("is stuck");
        stuck.push(client);
    }
    let mut busy = ctx.client()?;
    round_trip(&mut busy)?;
    let mut waiting = one_more(ctx)?;
    ctx.until(&format!("an answer, when --{deadline} has ended a client"), |_| {
        let before = counter(&mut busy, "timeouts")?;
        if waiting.look(Duration::ZERO) == Seen::Nothing {
            return Ok(Err(format!("no answer; clients ended by a deadline: {before}")));
        }
        demand(
            counter(&mut busy, "timeouts")? > 0,
            "no answer before a deadline has ended one of those that are stuck",
            "an answer",
        )?;
        Ok(Ok(()))
    })?;
    waiting.response()?.is(200)?.holds("Hello, World!").map(drop)
}

pub(super) const CASES: &[Case] = &[
    case(
        "idle_deadline_gives_back",
        Book,
        "read(2)",
        "Idle clients exhaust the workers, until --idle-timeout gives one back",
        |ctx| gives_back(ctx, "idle-timeout", b""),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "head_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a head exhaust the workers, until --head-timeout gives one back",
        |ctx| gives_back(ctx, "head-timeout", b"GET /plaintext HT"),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "body_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a content exhaust the workers, until --body-timeout gives one back",
        |ctx| {
            let head = request("POST", "/echo", "Content-Length: 10\r\n");
            gives_back(ctx, "body-timeout", &[&head[..], b"12345"].concat())
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Echo, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "write_deadline_gives_back",
        Book,
        "write(2)",
        "Clients that do not read exhaust the workers, until --write-timeout gives one back",
        |ctx| gives_back(ctx, "write-timeout", &get("/bytes/100000000")),
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Bytes, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "panics_cost_no_worker",
        Contract,
        "contract, Routes",
        "More failures of the application than there are workers, and all workers are there",
        |ctx| {
            let (workers, options) = few(ctx.stage);
            ctx.serve(options)?;
            for _ in 0..3 * workers {
                let mut client = ctx.client()?;
                client.send(get("/panic"))?;
                client.response()?.is(500)?;
                client.close();
            }
            let mut held = hold(ctx, workers)?;
            held.iter_mut().try_for_each(round_trip)
        },
    )
    .needs(&[Need::Plaintext, Need::Panic, Need::Process])
    .only(POOLS)
    .may_complain()
    .book("Chapter 2, \"What must be got right\""),
];
