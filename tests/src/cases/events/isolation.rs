//! Isolation between the clients of one thread: each client gets its share of the server's time,
//! and an event of one connection is never applied to another connection.

use std::thread;
use std::time::Duration;

use super::NEVER_IDLE;
use crate::case::Kind::{Book, Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::lifecycle::{freeze, thaw};
use crate::cases::many::{hold, round_trip};
use crate::ctx::{Ctx, counter_in, get};
use crate::profile::Model;
use crate::rlimits::Rlimits;
use crate::verdict::{Verdict, ensure};

const FROZEN: &[Need] = &[Need::Plaintext, Need::Process, Need::Many];

/// Number of clients that connect at once: more than a server accepts in one round, and fewer than
/// the smallest default backlog (128).
const CROWD: usize = 120;

/// Asserts that a client with one request is answered before another client with many requests has
/// been answered completely, although all requests arrived at the same time and the socket buffers
/// had room for all responses.
fn share(ctx: &mut Ctx<'_>) -> Verdict {
    const MANY: u64 = 150;
    // Options that limit the server to one thread, which all clients then share.
    let options: &[(&str, &str)] = match ctx.profile.name {
        "reactors" => &[("threads", "1"), ("processes", "1")],
        "coroutine" | "async" => &[("threads", "1")],
        _ => &[],
    };
    ctx.serve(options)?;
    // One client sends before the greedy client, and one client sends after it. In whichever order
    // the server handles ready connections, it reaches one of these two clients after the greedy
    // client.
    let mut clients = [ctx.client()?, ctx.client()?, ctx.client()?];
    clients.iter_mut().try_for_each(round_trip)?;
    let [early, greedy, late] = &mut clients;
    freeze(ctx)?;
    early.send(get("/stats"))?;
    greedy.send(get("/bytes/10000").repeat(MANY as usize))?;
    late.send(get("/stats"))?;
    thaw(ctx)?;
    for other in [late, early] {
        // The counter in this response to `/stats` is the number of requests that the server
        // answered before this one.
        let before = counter_in(&other.response()?, "requests")?;
        if !matches!(
            ctx.profile.model,
            Model::Events { .. } | Model::Spinning | Model::Coroutines
        ) {
            // A server with a thread or process for each connection may answer the clients in any
            // order, and so may an unknown server.
            continue;
        }
        ensure(
            before < MANY / 2,
            format!(
                "{} answered before most of {}'s requests",
                other.name(),
                greedy.name()
            ),
            format!("more than half of {}'s requests answered first", greedy.name()),
        )?;
    }
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case(
        "one_share_each",
        Security,
        "CWE-400",
        "A client with one request is answered before most requests of a client that sends many at once",
        share,
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Stats, Need::Many])
    .level(3),
    case(
        "successor",
        Contract,
        "epoll(7), \"If you use an event cache\"",
        "An event of a connection that was reset is not applied to the connection that reuses its descriptor",
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
            // After this pause, the idle timeout (1 s) of all old connections, which the clients
            // have reset, has passed.
            thread::sleep(Duration::from_millis(1200));
            thaw(ctx)?;
            for client in &mut new {
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(FROZEN),
    case(
        "stale_timer",
        Contract,
        "timer_settime(2)",
        "The timer of a connection that was reset while its response slept does not wake the connection that reuses its descriptor",
        |ctx| {
            ctx.assert_healthy()?;
            for _ in 0..3 {
                let mut left = ctx.client()?;
                left.send(get("/sleep/500"))?;
                left.wait_until_read();
                left.reset();
            }
            ctx.poll_until_counter("open", 1)?;
            let mut longs = Vec::new();
            for _ in 0..3 {
                let mut long = ctx.client()?;
                long.send(get("/sleep/50000"))?;
                long.wait_until_read();
                longs.push(long);
            }
            let mut short = ctx.client()?;
            short.send(get("/sleep/1000"))?;
            short.response()?.is(200)?.has_content("slept 1000 ms\n")?;
            longs.iter_mut().try_for_each(|long| long.assert_no_data("it sleeps for 50 s"))
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"Time\""),
    case(
        "reset_sleeper_is_gone_before_the_other",
        Security,
        "poll(2), POLLERR and POLLHUP; CWE-400",
        "Of two clients whose responses sleep equally long, one that resets is closed while the other still sleeps",
        |ctx| {
            ctx.assert_healthy()?;
            let mut stays = ctx.client()?;
            stays.send(get("/sleep/50000"))?;
            stays.wait_until_read();
            let mut left = ctx.client()?;
            left.send(get("/sleep/50000"))?;
            left.wait_until_read();
            left.reset();
            if matches!(ctx.profile.name, "spin" | "select") {
                // The servers `select` and `spin` do not watch a connection whose response is
                // delayed. They notice the reset only when the response is due, after 50 s, so the
                // case does not wait for it.
                return stays.assert_no_data("it sleeps for 50 s");
            }
            ctx.poll_until_counter("open", 2)?;
            stays.assert_no_data("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"An event is remembered\""),
    case(
        "reset_before_it_sleeps",
        Security,
        "epoll(7), edge-triggered; CWE-400",
        "A client whose reset arrives together with its request is closed while another client's response sleeps",
        |ctx| {
            ctx.assert_healthy()?;
            let mut stays = ctx.client()?;
            stays.send(get("/sleep/50000"))?;
            stays.wait_until_read();
            let mut left = ctx.client()?;
            round_trip(&mut left)?;
            freeze(ctx)?;
            left.send(get("/sleep/50000"))?;
            left.reset();
            thaw(ctx)?;
            if matches!(ctx.profile.name, "spin" | "select") {
                // The servers `select` and `spin` do not watch a connection whose response is
                // delayed. They notice the reset only when the response is due, after 50 s, so the
                // case does not wait for it.
                return stays.assert_no_data("it sleeps for 50 s");
            }
            ctx.poll_until_counter("open", 2)?;
            stays.assert_no_data("it sleeps for 50 s")
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Many, Need::Sleep, Need::Stats])
    .level(3)
    .book("Chapter 6, \"An event is remembered\""),
    case(
        "a_crowd_at_once",
        Contract,
        "accept(2); epoll(7), edge-triggered",
        "120 clients in the backlog are all accepted, without another client connecting",
        |ctx| {
            ctx.assert_healthy()?;
            freeze(ctx)?;
            let mut clients = Vec::new();
            for _ in 0..CROWD {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                clients.push(client);
            }
            thaw(ctx)?;
            for client in &mut clients {
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(FROZEN)
    .level(3),
    case(
        "signal_queue_overflow",
        Book,
        "sigaction(2), SIGIO; getrlimit(2), RLIMIT_SIGPENDING",
        "300 clients that send at the same time are all answered, with a limit of eight queued signals",
        |ctx| {
            ctx.serve_with_rlimits(&[NEVER_IDLE], Rlimits { pending_signals: Some(8), ..Rlimits::default() })?;
            let mut held = hold(ctx, 300)?;
            let mut sleeper = ctx.client()?;
            sleeper.send(get("/sleep/1000"))?;
            sleeper.wait_until_read();
            for _ in 0..3 {
                freeze(ctx)?;
                for client in &mut held {
                    client.send(get("/plaintext"))?;
                }
                // The client `sleeper` still waits for its delayed response. Until that is sent,
                // the server is not interested in further input from this client.
                sleeper.send(get("/plaintext"))?;
                thaw(ctx)?;
                for client in &mut held {
                    client.response()?.is(200)?.has_content("Hello, World!")?;
                }
            }
            sleeper.response()?.is(200)?.has_content("slept 1000 ms\n")?;
            for _ in 0..3 {
                sleeper.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Many, Need::Sleep])
    .level(3),
];
