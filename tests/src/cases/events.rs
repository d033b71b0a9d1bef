//! One thread, many clients, and news of them: what event code gets wrong. What is
//! promised here holds for every server; a thread for each client keeps most of it
//! without effort.

use std::thread;
use std::time::Duration;

use crate::bounds::Bounds;
use crate::case::Kind::{Book, Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::lifecycle::{freeze, thaw};
use crate::cases::resources::waits;
use crate::client::Client;
use crate::ctx::{Ctx, echo, get, request, stat_in};
use crate::fixture::pattern;
use crate::stage::Capability::AtRest;
use crate::stage::Model;
use crate::verdict::{Step, Verdict, demand};

const PLAIN: &[Need] = &[Need::Plaintext];
const FROZEN: &[Need] = &[Need::Plaintext, Need::Process, Need::Many];
/// More than a server accepts at once; as many as may wait wherever nobody has asked for
/// more.
const CROWD: usize = 120;
/// Nobody is to be helped by the end of idle time.
const NEVER_IDLE: (&str, &str) = ("idle-timeout", "600");

fn round_trip(client: &mut Client) -> Verdict {
    client.send(get("/plaintext"))?;
    client.response()?.is(200)?.holds("Hello, World!").map(drop)
}

fn hold(ctx: &mut Ctx<'_>, count: usize) -> Step<Vec<Client>> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = ctx.client()?;
        round_trip(&mut client)?;
        held.push(client);
    }
    Ok(held)
}

/// A request and its client's end of file come in one segment.
fn ends_with(ctx: &mut Ctx<'_>, bytes: &[u8], status: Option<u16>) -> Verdict {
    ctx.serve(&[NEVER_IDLE])?;
    for _ in 0..20 {
        let mut client = ctx.client()?;
        client.send_and_half_close(bytes)?;
        if let Some(status) = status {
            client.response()?.is(status)?;
        }
        client.ends()?;
    }
    Ok(())
}

/// A client that sleeps does something; that is no work, and when the sleep is over the
/// connection is given back.
fn sleeps_at_rest(ctx: &mut Ctx<'_>, act: fn(Client) -> Option<Client>) -> Verdict {
    let mut client = ctx.client()?;
    client.send(get("/sleep/6000"))?;
    client.drained();
    let client = act(client);
    if ctx.stage.has(AtRest) {
        waits(ctx)?;
    }
    if let Some(mut client) = client {
        client.response()?.is(200)?;
        client.ends()?;
    }
    ctx.until("`open` is 1, the one that asks", |ctx| {
        let open = ctx.stat("open")?;
        Ok(if open == 1 { Ok(()) } else { Err(format!("open: {open}")) })
    })
}

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
        "end_with_the_request",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "A request that comes in one segment with the end of file is answered, and the end is seen",
        |ctx| ends_with(ctx, &get("/plaintext"), Some(200)),
    )
    .needs(PLAIN),
    case(
        "end_with_half_a_request",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "Half a request that comes in one segment with the end of file is refused at once",
        |ctx| ends_with(ctx, b"GET /plaintext HTTP/1.1\r\n", Some(400)),
    )
    .needs(PLAIN),
    case(
        "end_with_a_content",
        Contract,
        "epoll(7), EPOLLRDHUP",
        "The end of file is seen behind a content of any size, also where it fills a buffer exactly",
        |ctx| {
            ctx.serve(&[NEVER_IDLE])?;
            let head = echo(&[0; 10_000]).len() - 10_000;
            for size in [1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16].map(|size| size - head) {
                for size in [size - 1, size, size + 1] {
                    let mut client = ctx.client()?;
                    let content = pattern(size);
                    client.send_and_half_close(&echo(&content))?;
                    client.response()?.is(200)?.holds(&content)?;
                    client.ends()?;
                }
            }
            Ok(())
        },
    )
    .needs(&[Need::Echo]),
    case(
        "all_of_what_came",
        Contract,
        "epoll(7), edge-triggered",
        "What came in one piece is read to its end, however little is read at once",
        |ctx| {
            ctx.serve(&[NEVER_IDLE])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            for size in [5_000, 20_000, 60_000] {
                freeze(ctx)?;
                let content = pattern(size);
                client.send(echo(&content))?;
                thaw(ctx)?;
                client.response()?.is(200)?.holds(&content)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Echo]),
    case(
        "urgent_data",
        Security,
        "send(2), MSG_OOB; RFC 6093",
        "A request with urgent data in its middle, at which a read stops short, is answered without another word",
        |ctx| {
            // No deadline is to help.
            ctx.serve(&[NEVER_IDLE, ("head-timeout", "600")])?;
            let mut client = ctx.client()?;
            for _ in 0..2 {
                round_trip(&mut client)?;
                freeze(ctx)?;
                client.send("GET /bytes/1")?;
                client.send_urgent(b'0')?;
                client.send("0 HTTP/1.1\r\nHost: suite\r\n\r\n")?;
                thaw(ctx)?;
                // With the byte where it was sent, or, as the kernel does it unless it is
                // told otherwise, without it.
                let length = client.response()?.is(200)?.content.len();
                demand([100, 10].contains(&length), "100 bytes, or 10", length)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes])
    .book("Chapter 5, \"The lost wake-up\""),
    case(
        "speaks_while_it_sleeps",
        Contract,
        "epoll(7)",
        "A request that comes while the one before sleeps is answered behind it, without another word",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..5 {
                client.send(get("/sleep/100"))?;
                client.drained();
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?.holds("slept 100 ms\n")?;
                client.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Sleep]),
    case(
        "speaks_while_it_does_not_read",
        Contract,
        "epoll(7)",
        "A request that comes while the answer before has no room is answered behind it, without another word",
        |ctx| {
            let mut client = ctx.small_client()?;
            for _ in 0..3 {
                client.send(get("/bytes/10000000"))?;
                client.drained();
                // There is no room any more when others have been served.
                for _ in 0..3 {
                    if ctx.stage.has(crate::stage::Capability::ManyClients) {
                        ctx.is_well()?;
                    }
                }
                client.send(get("/plaintext"))?;
                let answer = client.response()?;
                demand(answer.is(200)?.content.len() == 10_000_000, "10000000 bytes", answer.content.len())?;
                client.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "end_while_it_lingers",
        Contract,
        "RFC 9112 §9.6; poll(2), POLLHUP",
        "A last answer arrives whole although the client has sent much more, and its end",
        |ctx| {
            ctx.is_well()?;
            for bytes in [280_000, 300_000, 320_000, 340_000] {
                freeze(ctx)?;
                // The answer fits into the server's side of the kernel, not into ours.
                let mut client = ctx.client_with(Some(64 * 1024))?;
                client.send(request("GET", "/bytes/400000", "Connection: close\r\n"))?;
                client.send_much_and_half_close(bytes)?;
                thaw(ctx)?;
                ctx.is_well()?;
                let answer = client.response()?;
                demand(answer.is(200)?.content.len() == 400_000, "400000 bytes", answer.content.len())?;
                client.ends()?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Many]),
    case(
        "empty_lines_one_by_one",
        Contract,
        "RFC 9112 §2.2",
        "That an empty line has come is remembered while nothing else comes: a second one is refused",
        |ctx| {
            ctx.serve(&[NEVER_IDLE, ("head-timeout", "600")])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            client.send("\r\n")?;
            client.drained();
            client.send("\r\n")?;
            Ctx::is_refused(&mut client, &[400])
        },
    )
    .needs(PLAIN),
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
    case(
        "half_close_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLRDHUP",
        "A client that has closed its side and waits for a slow answer is no work, and gets its answer",
        |ctx| {
            sleeps_at_rest(ctx, |mut client| {
                client.half_close();
                Some(client)
            })
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Sleep, Need::Stats, Need::Many]),
    case(
        "reset_while_it_sleeps_is_no_work",
        Security,
        "poll(2), POLLERR and POLLHUP",
        "A client that resets while its answer sleeps is no work, and its connection is given back",
        |ctx| {
            sleeps_at_rest(ctx, |client| {
                client.reset();
                None
            })
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Sleep, Need::Stats, Need::Many]),
    case(
        "no_room_is_no_work",
        Security,
        "poll(2), POLLOUT",
        "A client that does not read its answer, and goes on speaking, is no work",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/100000000"))?;
            client.drained();
            client.send(get("/plaintext").repeat(10))?;
            ctx.is_well()?;
            if ctx.stage.has(AtRest) { waits(ctx) } else { Ok(()) }
        },
    )
    .needs(&[Need::Plaintext, Need::Process, Need::Bytes, Need::Many]),
];
