//! Workers become free again: after a deadline, and after a panic of the application.

use std::time::Duration;

use super::{NEVER, POOLS, STATS, counter, few, one_more};
use crate::case::Kind::{Book, Contract};
use crate::case::{Case, Need, case};
use crate::cases::many::{hold, round_trip};
use crate::client::Peek;
use crate::ctx::{Ctx, get, request};
use crate::verdict::{Verdict, ensure};

const BACK: &str = "Chapter 2, \"Every deadline gives a worker back\"";

/// Occupies all workers, all but one of them by clients that are stuck, and asserts that another
/// client is answered only after the server has disconnected a stuck client because of the
/// deadline.
fn assert_deadline_frees_worker(
    ctx: &mut Ctx<'_>,
    deadline: &str,
    bytes: &[u8],
) -> Verdict {
    let (workers, few) = few(ctx.profile);
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
    ctx.poll_until(
        &format!("a response after --{deadline} has closed a stuck client"),
        |_| {
            let before = counter(&mut busy, "timeouts")?;
            if waiting.peek(Duration::ZERO) == Peek::Nothing {
                return Ok(Err(format!(
                    "no response; clients closed by a deadline: {before}"
                )));
            }
            ensure(
                counter(&mut busy, "timeouts")? > 0,
                "no response before a deadline has closed a stuck client",
                "a response",
            )?;
            Ok(Ok(()))
        },
    )?;
    waiting.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

pub(super) const CASES: &[Case] = &[
    case(
        "idle_deadline_gives_back",
        Book,
        "read(2)",
        "Idle clients occupy all workers until --idle-timeout frees one",
        |ctx| assert_deadline_frees_worker(ctx, "idle-timeout", b""),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "head_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a head occupy all workers until --head-timeout frees one",
        |ctx| assert_deadline_frees_worker(ctx, "head-timeout", b"GET /plaintext HT"),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "body_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a content occupy all workers until --body-timeout frees one",
        |ctx| {
            let head = request("POST", "/echo", "Content-Length: 10\r\n");
            assert_deadline_frees_worker(ctx, "body-timeout", &[&head[..], b"12345"].concat())
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Echo, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "write_deadline_gives_back",
        Book,
        "write(2)",
        "Clients that do not read occupy all workers until --write-timeout frees one",
        |ctx| assert_deadline_frees_worker(ctx, "write-timeout", &get("/bytes/100000000")),
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Bytes, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "panics_cost_no_worker",
        Contract,
        "contract, Routes",
        "After more panics of the application than there are workers, all workers still serve",
        |ctx| {
            let (workers, options) = few(ctx.profile);
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
    .may_log()
    .book("Chapter 2, \"What must be got right\""),
];
