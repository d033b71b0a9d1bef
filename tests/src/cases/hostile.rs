//! Hostile and clumsy clients: none of them ends the server or hurts another.

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, echo, get, get_and_close, request};
use crate::verdict::{Verdict, demand};

const PLAIN: &[Need] = &[Need::Plaintext];

/// Twenty clients send this and reset; then the server is well.
fn resets_after(ctx: &mut Ctx<'_>, bytes: &[u8]) -> Verdict {
    for round in 0..20 {
        let mut client = ctx.client()?;
        client.send(bytes)?;
        if round % 2 == 0 {
            client.drained();
        }
        client.reset();
    }
    ctx.is_well()
}

/// Several clients send this and keep still; then others are served.
fn served_beside_many(ctx: &mut Ctx<'_>, count: usize, bytes: &[u8]) -> Verdict {
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..count {
        let mut client = ctx.small_client()?;
        client.send(bytes)?;
        held.push(client);
    }
    for _ in 0..3 {
        ctx.is_well()?;
    }
    drop(held);
    ctx.is_well()
}

/// Bytes that look like chance and are the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Begins as a refusal does. The version is not this family's business.
fn is_refusal(answer: &[u8]) -> bool {
    let Some(code) =
        answer.strip_prefix(b"HTTP/1.1 ").or(answer.strip_prefix(b"HTTP/1.0 "))
    else {
        return false;
    };
    code.starts_with(b"4") || code.starts_with(b"5")
}

pub(super) const CASES: &[Case] = &[
    case(
        "reset_at_once",
        Security,
        "accept(2), ECONNABORTED",
        "Clients that reset before they say anything do no harm",
        |ctx| resets_after(ctx, b""),
    )
    .needs(PLAIN),
    case(
        "reset_in_head",
        Security,
        "read(2), ECONNRESET",
        "Clients that reset within a head do no harm",
        |ctx| resets_after(ctx, b"GET /plain"),
    )
    .needs(PLAIN),
    case(
        "reset_in_content",
        Security,
        "read(2), ECONNRESET",
        "Clients that reset within content do no harm",
        |ctx| {
            resets_after(ctx, &[&request("POST", "/echo", "Content-Length: 100\r\n")[..], b"some"].concat())
        },
    )
    .needs(PLAIN),
    case(
        "reset_before_the_answer",
        Security,
        "write(2), EPIPE",
        "Clients that reset before their answer do no harm",
        |ctx| resets_after(ctx, &get("/plaintext")),
    )
    .needs(PLAIN),
    case(
        "reset_in_a_long_answer",
        Security,
        "write(2), EPIPE; signal(7), SIGPIPE",
        "Clients that reset within a long answer do no harm",
        |ctx| resets_after(ctx, &get("/bytes/50000000")),
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "reset_in_a_file",
        Security,
        "sendfile(2), EPIPE; signal(7), SIGPIPE",
        "Clients that reset within a file do no harm",
        |ctx| resets_after(ctx, &get("/large.bin")),
    )
    .needs(&[Need::Plaintext, Need::Files]),
    case(
        "reset_while_it_sleeps",
        Security,
        "write(2), EPIPE",
        "A client that resets while its answer sleeps does no harm",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/sleep/200"))?;
            client.drained();
            client.reset();
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Sleep]),
    case(
        "reset_between_requests",
        Security,
        "read(2), ECONNRESET",
        "A client that resets an idle connection does no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                client.reset();
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN),
    case(
        "reset_in_a_burst",
        Security,
        "write(2), EPIPE",
        "Clients that reset behind a hundred requests do no harm",
        |ctx| resets_after(ctx, &get("/bytes/10000").repeat(100)),
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "reset_after_a_refusal",
        Security,
        "RFC 9112 §9.6",
        "Clients that reset while the server lingers do no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send("nonsense\r\n\r\n")?;
                if client.is_cut_off() {
                    continue;
                }
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.awaiting("a refusal, status 400"))?;
                if !(ctx.lenient && answer.status >= 400) {
                    answer.is(400)?;
                }
                client.reset();
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN),
    case(
        "close_without_reading",
        Security,
        "write(2), EPIPE",
        "Clients that ask and leave do no harm",
        |ctx| {
            for _ in 0..20 {
                let mut client = ctx.client()?;
                client.send(get("/bytes/5000000"))?;
                client.close();
            }
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Bytes]),
    case(
        "knocks_and_runs",
        Security,
        "accept(2)",
        "Three hundred connections that are closed at once do no harm",
        |ctx| {
            for _ in 0..300 {
                ctx.client()?.close();
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN),
    case("silent_clients", Security, "accept(2)", "Fifty silent clients do not keep others waiting", |ctx| {
        served_beside_many(ctx, 50, b"")
    })
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"Two clients\""),
    case(
        "slowloris",
        Security,
        "CWE-400",
        "Fifty clients with half a head do not keep others waiting",
        |ctx| served_beside_many(ctx, 50, b"GET /plaintext HTTP/1.1\r\nHost: sui"),
    )
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"The client that never ends its request\""),
    case(
        "never_readers",
        Security,
        "CWE-400",
        "Twenty clients that do not read do not keep others waiting",
        |ctx| served_beside_many(ctx, 20, &get("/bytes/50000000")),
    )
    .clients(25)
    .needs(&[Need::Many, Need::Bytes])
    .book("Chapter 1, \"The client that never reads\""),
    case(
        "noise",
        Security,
        "RFC 9112 §2.2",
        "Random bytes end in a refusal or a close, two hundred times",
        |ctx| {
            for seed in 1..=200 {
                let mut client = ctx.client()?;
                client.send(noise(seed, 700))?;
                client.half_close();
                let (answer, _) = client.rest()?;
                let fine = answer.is_empty() || is_refusal(&answer);
                demand(fine, "a refusal or nothing", crate::show::bytes(&answer, answer.len()))?;
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "noise_as_content",
        Security,
        "RFC 9112 §7.1",
        "Random bytes as chunks end in a refusal, a hundred times",
        |ctx| {
            for seed in 1..=100 {
                let mut client = ctx.client()?;
                let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
                client.send([&head[..], b"zz", &noise(seed, 300), b"\r\n"].concat())?;
                client.response()?.is(400)?;
                client.close();
            }
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Echo])
    .book("The contract, \"Refusals\""),
    case("zeros", Security, "RFC 9112 §2.2", "Sixteen kilobytes of NUL bytes are refused", |ctx| {
        let mut client = ctx.client()?;
        client.send(vec![0; 16 * 1024])?;
        if ctx.lenient {
            // How much of a line a server takes before it looks at it is its own choice.
            client.send("\r\n\r\n")?;
            if client.is_cut_off() {
                return ctx.is_well();
            }
        }
        let answer =
            client.response().map_err(|stop| stop.awaiting("a refusal, status 400 or 414"))?;
        if !(ctx.lenient && answer.status >= 400) {
            answer.one_of(&[400, 414])?;
        }
        client.close();
        ctx.is_well()
    })
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "endless_request_line",
        Security,
        "RFC 9112 §3",
        "A megabyte without a line's end is refused; the answer may be lost, the server not",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(vec![b'x'; 1 << 20])?;
            let (answer, _) = client
                .rest()
                .map_err(|stop| stop.awaiting("a refusal or the end of the connection"))?;
            let fine = answer.is_empty() || is_refusal(&answer);
            demand(fine, "a refusal", crate::show::bytes(&answer, answer.len()))?;
            client.close();
            ctx.is_well()
        },
    )
    .needs(PLAIN)
    .book("The contract, \"Refusals\""),
    case(
        "panic_costs_one_connection",
        Contract,
        "contract, Routes",
        "A request that makes the application fail is 500 and closes",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/panic"))?;
            client.response()?.is(500)?.names("Connection", "close")?;
            client.ends()?;
            client.close();
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_complain()
    .book("The contract, \"Routes\""),
    case(
        "panic_beside_others",
        Contract,
        "contract, Routes",
        "… and nobody else notices, five times",
        |ctx| {
            let mut other = ctx.client()?;
            for _ in 0..5 {
                let mut client = ctx.client()?;
                client.send(get("/panic"))?;
                client.response()?.is(500)?;
                client.ends()?;
                other.send(echo(b"still here"))?;
                other.response()?.is(200)?.holds("still here")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Panic, Need::Echo])
    .may_complain()
    .book("The contract, \"Routes\""),
    case("panic_is_counted", Contract, "contract, Routes", "… and it is counted in `panics`", |ctx| {
        for _ in 0..3 {
            ctx.ask(get_and_close("/panic"))?.is(500)?;
        }
        ctx.until("`panics` is 3", |ctx| {
            let count = ctx.stat("panics")?;
            Ok(if count == 3 { Ok(()) } else { Err(format!("panics: {count}")) })
        })
    })
    .needs(&[Need::Stats, Need::Panic, Need::Process])
    .may_complain()
    .book("The contract, \"Routes\""),
    case(
        "panic_in_a_burst",
        Contract,
        "contract, Routes",
        "What was answered before the failure has arrived; what comes behind is not answered",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), get("/panic"), get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            client.response()?.is(500)?;
            client.ends()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_complain()
    .book("The contract, \"Routes\""),
];
