//! Several clients of one thread: each has its share, and news of one is never taken for
//! news of another.

use std::thread;
use std::time::Duration;

use super::NEVER_IDLE;
use crate::bounds::Bounds;
use crate::case::Kind::{Book, Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::lifecycle::{freeze, thaw};
use crate::cases::many::{hold, round_trip};
use crate::ctx::{Ctx, get, stat_in};
use crate::stage::Model;
use crate::verdict::{Verdict, demand};

const FROZEN: &[Need] = &[Need::Plaintext, Need::Process, Need::Many];

/// More than a server accepts at once; as many as may wait wherever nobody has asked for
/// more.
const CROWD: usize = 120;

/// Of a client's many requests some are answered, then the other's one: although both lay
/// there at the same time, and there was room for all answers.
fn share(ctx: &mut Ctx<'_>) -> Verdict {
    const MANY: u64 = 150;
    // They are to share a thread.
    let options: &[(&str, &str)] = match ctx.stage.name {
        "reactors" => &[("threads", "1"), ("processes", "1")],
        "coroutine" | "async" => &[("threads", "1")],
        _ => &[],
    };
    ctx.serve(options)?;
    // One speaks before the greedy one, and one after it: whichever way the server goes through
    // those who have something to say, it comes to one of them when it has heard that one.
    let mut clients = [ctx.client()?, ctx.client()?, ctx.client()?];
    clients.iter_mut().try_for_each(round_trip)?;
    let [early, greedy, late] = &mut clients;
    freeze(ctx)?;
    early.send(get("/stats"))?;
    greedy.send(get("/bytes/10000").repeat(MANY as usize))?;
    late.send(get("/stats"))?;
    thaw(ctx)?;
    for other in [late, early] {
        // The server itself says what it has done before.
        let before = stat_in(&other.response()?, "requests")?;
        if !matches!(
            ctx.stage.model,
            Model::Events { .. } | Model::Spinning | Model::Coroutines
        ) {
            continue; // they do not share a thread: who comes first is chance
        }
        demand(
            before < MANY / 2,
            format!("{} answered when {} has had its share", other.name(), greedy.name()),
            format!("more than half of what {} asked for answered first", greedy.name()),
        )?;
    }
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case(
        "one_share_each",
        Security,
        "CWE-400",
        "A client with many requests at once does not have them all answered before another's one",
        share,
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Stats, Need::Many])
    .level(3),
    case(
        "successor",
        Contract,
        "epoll(7), \"If you use an event cache\"",
        "What is told of a client that was reset is not taken for news of the next one, who has its descriptor",
        |ctx| {
            ctx.serve(&[("idle-timeout", "1")])?;
            let old = hold(ctx, 30)?;
            freeze(ctx)?;
            let mut new = Vec::new();
            for _ in 0..30 {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                new.push(client);
            }
            for client in old {
                client.reset();
            }
            // Now there are two reasons to close them.
            thread::sleep(Duration::from_millis(1200));
            thaw(ctx)?;
            for client in &mut new {
                client.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(FROZEN),
    case(
        "alarm_of_one_that_left",
        Contract,
        "timer_settime(2)",
        "A client that was reset while its answer slept takes its alarm with it: the next one, who has its descriptor, sleeps as long as it asked for",
        |ctx| {
            ctx.is_well()?;
            for _ in 0..3 {
                let mut left = ctx.client()?;
                left.send(get("/sleep/500"))?;
                left.drained();
                left.reset();
            }
            ctx.until("`open` is 1, the one that asks", |ctx| {
                let open = ctx.stat("open")?;
                Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
            })?;
            let mut longs = Vec::new();
            for _ in 0..3 {
                let mut long = ctx.client()?;
                long.send(get("/sleep/50000"))?;
                long.drained();
                longs.push(long);
            }
            let mut short = ctx.client()?;
            short.send(get("/sleep/1000"))?;
            short.response()?.is(200)?.holds("slept 1000 ms\n")?;
            longs.iter_mut().try_for_each(|long| long.has_nothing("it sleeps for 50 s"))
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"Time\""),
    case(
        "reset_sleeper_is_gone_before_the_other",
        Security,
        "poll(2), POLLERR and POLLHUP; CWE-400",
        "Of two whose answers sleep equally long, the one that resets is gone while the other still sleeps",
        |ctx| {
            ctx.is_well()?;
            let mut stays = ctx.client()?;
            stays.send(get("/sleep/50000"))?;
            stays.drained();
            let mut left = ctx.client()?;
            left.send(get("/sleep/50000"))?;
            left.drained();
            left.reset();
            if matches!(ctx.stage.name, "spin" | "select") {
                // Of a client from whom nothing is wanted these are told nothing: a row is kept for
                // it until its answer has slept enough.
                return stays.has_nothing("it sleeps for 50 s");
            }
            ctx.until("`open` is 2, the one that sleeps and the one that asks", |ctx| {
                let open = ctx.stat("open")?;
                Ok(if open == 2 { Ok(()) } else { Err(format!("open: {open}")) })
            })?;
            stays.has_nothing("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"The circle closes\""),
    case(
        "reset_before_it_sleeps",
        Security,
        "epoll(7), edge-triggered; CWE-400",
        "A client whose reset comes with its request is not served by an answer that sleeps: it is gone while another sleeps",
        |ctx| {
            ctx.is_well()?;
            let mut stays = ctx.client()?;
            stays.send(get("/sleep/50000"))?;
            stays.drained();
            let mut left = ctx.client()?;
            round_trip(&mut left)?;
            freeze(ctx)?;
            left.send(get("/sleep/50000"))?;
            left.reset();
            thaw(ctx)?;
            if matches!(ctx.stage.name, "spin" | "select") {
                return stays.has_nothing("it sleeps for 50 s"); // as above
            }
            ctx.until("`open` is 2, the one that sleeps and the one that asks", |ctx| {
                let open = ctx.stat("open")?;
                Ok(if open == 2 { Ok(()) } else { Err(format!("open: {open}")) })
            })?;
            stays.has_nothing("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"The circle closes\""),
    case(
        "a_crowd_at_once",
        Contract,
        "accept(2); epoll(7), edge-triggered",
        "A hundred and twenty clients that wait to be accepted are all accepted, without one more coming",
        |ctx| {
            ctx.is_well()?;
            freeze(ctx)?;
            let mut clients = Vec::new();
            for _ in 0..CROWD {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                clients.push(client);
            }
            thaw(ctx)?;
            for client in &mut clients {
                client.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(FROZEN)
    .level(3),
    case(
        "more_news_than_signals",
        Book,
        "sigaction(2), SIGIO; getrlimit(2), RLIMIT_SIGPENDING",
        "Three hundred clients that speak at once are all heard, where the system queues only eight signals",
        |ctx| {
            ctx.serve_within(&[NEVER_IDLE], Bounds { pending_signals: Some(8), ..Bounds::default() })?;
            let mut held = hold(ctx, 300)?;
            let mut sleeper = ctx.client()?;
            sleeper.send(get("/sleep/1000"))?;
            sleeper.drained();
            for _ in 0..3 {
                freeze(ctx)?;
                for client in &mut held {
                    client.send(get("/plaintext"))?;
                }
                // Of whom nothing is wanted for the moment.
                sleeper.send(get("/plaintext"))?;
                thaw(ctx)?;
                for client in &mut held {
                    client.response()?.is(200)?.holds("Hello, World!")?;
                }
            }
            sleeper.response()?.is(200)?.holds("slept 1000 ms\n")?;
            for _ in 0..3 {
                sleeper.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Many, Need::Sleep])
    .level(3),
];
