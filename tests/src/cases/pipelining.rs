//! Pipelining: requests sent without waiting for responses are all answered, in order.

use std::time::{Duration, Instant};

use crate::case::Kind::{Contract, Must};
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, chunked_echo, echo, get, get_and_close, request};
use crate::fixture::{content, generated, large, pattern, variant};
use crate::proc::Family;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

const PLAIN: &[Need] = &[Need::Plaintext];
const ECHO: &[Need] = &[Need::Echo];

/// Returns seven different requests as bytes, each with its method and the status and content of
/// the expected response. The number `round` is part of one request's content.
fn mixed(round: usize) -> Vec<(Vec<u8>, &'static str, u16, Vec<u8>)> {
    let word = format!("round {round}");
    vec![
        (get("/plaintext"), "GET", 200, b"Hello, World!".to_vec()),
        (request("HEAD", "/plaintext", ""), "HEAD", 200, Vec::new()),
        (echo(word.as_bytes()), "POST", 200, word.clone().into_bytes()),
        (get("/there-is-no-such-thing"), "GET", 404, Vec::new()),
        (chunked_echo("3\r\nabc\r\n0\r\n\r\n"), "POST", 200, b"abc".to_vec()),
        (request("OPTIONS", "*", ""), "OPTIONS", 204, Vec::new()),
        (get("/bytes/1000"), "GET", 200, generated(1000)),
    ]
}

fn reads_mixed(client: &mut Client, rounds: usize) -> Verdict {
    for round in 0..rounds {
        for (_, method, status, content) in mixed(round) {
            let answer = client.response_to(method)?;
            answer.is(status)?;
            if status == 200 {
                answer.has_content(content)?;
            }
        }
    }
    Ok(())
}

fn batch(rounds: usize) -> Vec<u8> {
    (0..rounds).flat_map(mixed).flat_map(|(bytes, ..)| bytes).collect()
}

/// Sends all of `bytes`, and reads responses only while the send buffer of the client's socket is
/// full.
fn send_against_pressure(client: &mut Client, bytes: &[u8]) -> Verdict {
    let mut rest = bytes;
    while !rest.is_empty() {
        let sent = client.send_some(rest);
        rest = &rest[sent..];
        if sent == 0 && client.fill()?.is_some() {
            return Err(Abort::fail(
                "the server reads every request",
                format!("it closed the connection with {} bytes unsent", rest.len()),
            ));
        }
    }
    Ok(())
}

/// Sends `bytes` until the buffers of both directions are full: the server stops reading because it
/// cannot send its responses, and then the client's socket is full. Returns the number of bytes
/// sent.
fn send_until_stuck(
    ctx: &mut Ctx<'_>,
    client: &mut Client,
    bytes: &[u8],
) -> CaseResult<usize> {
    const LOOK: Duration = Duration::from_millis(10);
    /// Number of failed attempts to send, while the server is idle, after which both directions
    /// count as full.
    const ENOUGH: usize = 20;
    /// Number of failed attempts to send after which both directions count as full, if the server
    /// is always busy or its process cannot be examined.
    const MOST: usize = 300;
    /// The longest time that `send_until_stuck` sends: less than the server's write deadline, after
    /// which the server may close a connection whose client does not read.
    const LONGEST: Duration = Duration::from_secs(10);
    let began = Instant::now();
    let pid = ctx.pid().ok();
    let mut server = None;
    let (mut sent, mut at_rest, mut in_vain) = (0, 0, 0);
    while sent < bytes.len()
        && at_rest < ENOUGH
        && in_vain < MOST
        && began.elapsed() < LONGEST
    {
        let n = client.send_some(&bytes[sent..]);
        sent += n;
        if n > 0 {
            (at_rest, in_vain) = (0, 0);
            continue;
        }
        in_vain += 1;
        // A server that waits for a processor will read more later, so an attempt counts only while
        // the server is idle. The server's processes are looked up once, at the first failed
        // attempt: a server that forks has forked by then.
        server = server.or_else(|| pid.and_then(Family::of));
        at_rest +=
            usize::from(server.as_ref().is_some_and(|server| !server.is_running()));
        std::thread::sleep(LOOK);
    }
    Ok(sent)
}

pub(super) const CASES: &[Case] = &[
    case("two", Must, "RFC 9112 §9.3.2", "Two requests in one write get two responses", |ctx| {
        let mut client = ctx.client()?;
        client.send([get("/plaintext"), get_and_close("/plaintext")].concat())?;
        client.response()?.is(200)?.has_content("Hello, World!")?;
        client.response()?.is(200)?.has_content("Hello, World!")?;
        client.assert_closed()
    })
    .needs(PLAIN),
    case(
        "mixed_methods",
        Must,
        "RFC 9112 §9.3.2",
        "GET, HEAD, POST, chunks, 404 and OPTIONS in one write are answered in order",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(batch(1))?;
            reads_mixed(&mut client, 1)
        },
    )
    .needs(&[Need::Echo, Need::Bytes]),
    case(
        "mixed_methods_deep",
        Must,
        "RFC 9112 §9.3.2",
        "700 requests of all kinds in one batch are answered in order",
        |ctx| {
            let mut client = ctx.client()?;
            let bytes = batch(100);
            send_against_pressure(&mut client, &bytes)?;
            reads_mixed(&mut client, 100)
        },
    )
    .needs(&[Need::Echo, Need::Bytes]),
    case(
        "order",
        Must,
        "RFC 9112 §9.3.2",
        "500 responses arrive in the order of their requests",
        |ctx| {
            let words: Vec<String> = (0..500).map(|i| format!("number {i}")).collect();
            let bytes: Vec<u8> = words.iter().flat_map(|word| echo(word.as_bytes())).collect();
            let mut client = ctx.client()?;
            send_against_pressure(&mut client, &bytes)?;
            for word in &words {
                client.response()?.is(200)?.has_content(word)?;
            }
            client.send(get("/plaintext"))?;
            client.response()?.is(200).map(drop)
        },
    )
    .needs(ECHO),
    case(
        "order_with_a_slow_one",
        Must,
        "RFC 9112 §9.3.2",
        "A fast response does not overtake a slow one",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/sleep/200"), get("/plaintext"), get("/sleep/0")].concat())?;
            client.response()?.is(200)?.has_content("slept 200 ms\n")?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.response()?.is(200)?.has_content("slept 0 ms\n").map(drop)
        },
    )
    .needs(&[Need::Sleep]),
    case(
        "before_a_sleeper",
        Contract,
        "RFC 9112 §9.3.2",
        "A response is not held back while the response to the next request sleeps",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), get("/sleep/50000")].concat())?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.assert_no_data("the second response sleeps for 50 s")
        },
    )
    .needs(&[Need::Sleep, Need::Plaintext]),
    case(
        "long_answers",
        Must,
        "RFC 9112 §9.3.2",
        "Several responses larger than every socket buffer arrive whole",
        |ctx| {
            let mut client = ctx.small_client()?;
            let bytes: Vec<u8> = (0..8).flat_map(|i| get(&format!("/bytes/{}", 500_000 + i))).collect();
            client.send(bytes)?;
            for i in 0..8 {
                client.response()?.is(200)?.has_content(generated(500_000 + i))?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Bytes]),
    case("files_between_routes", Must, "RFC 9112 §9.3.2", "Files and routes in one batch are answered in order", |ctx| {
        let mut client = ctx.client()?;
        for _ in 0..5 {
            client.send([get("/large.bin"), get("/plaintext"), get("/hello.txt")].concat())?;
        }
        for _ in 0..5 {
            client.response()?.is(200)?.has_content(pattern(large()))?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.response()?.is(200)?.has_content(content("hello.txt"))?;
        }
        Ok(())
    })
    .needs(&[Need::Files]),
    case(
        "sends_before_reading",
        Contract,
        "RFC 9112 §9.3.2",
        "A client that sends until the server reads no more, and only then reads, gets every response",
        |ctx| {
            // Long requests and responses, so that a few hundred of them fill all buffers.
            let padding = format!("X-Padding: {}\r\n", "x".repeat(1000));
            let one = request("GET", "/bytes/20000", &padding);
            let mut client = ctx.client_for_much()?;
            let many = one.repeat(2000);
            let sent = send_until_stuck(ctx, &mut client, &many)?;
            ensure(
                sent < many.len(),
                "a server that stops reading while it cannot send its responses",
                "it read 2,000 requests",
            )?;
            let requests = sent.div_ceil(one.len());
            let rest = requests * one.len() - sent;
            send_against_pressure(&mut client, &many[sent..sent + rest])?;
            let content = generated(20_000);
            for _ in 0..requests {
                client.response()?.is(200)?.has_content(&content)?;
            }
            client.assert_no_data("every request has been answered")
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "little_output_allowed",
        Contract,
        "RFC 9112 §9.3.2",
        "With --max-output for one response at a time, all requests are answered",
        |ctx| {
            ctx.serve(&[("max-output", "1024")])?;
            let mut client = ctx.client()?;
            let bytes: Vec<u8> = std::iter::repeat_n(get("/bytes/900"), 200).flatten().collect();
            client.send(bytes)?;
            for _ in 0..200 {
                client.response()?.is(200)?.has_content(generated(900))?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "refusal_in_the_middle",
        Must,
        "RFC 9112 §9.3.2",
        "Requests before a malformed one are answered, then it is refused, then the connection closed",
        |ctx| {
            let mut client = ctx.client()?;
            let good = get("/plaintext");
            client.send(
                [&good[..], &good, b"GET /plaintext HTTP/1.1\r\nHost : suite\r\n\r\n", &good].concat(),
            )?;
            client.response()?.is(200)?;
            client.response()?.is(200)?;
            client.response()?.is(400).map_err(|stop| stop.in_response(3))?;
            client.assert_closed()
        },
    )
    .needs(PLAIN),
    case(
        "refused_content_in_the_middle",
        Must,
        "RFC 9112 §9.3.2",
        "A request with content for a missing file (404) does not lose the requests behind it",
        |ctx| {
            let mut client = ctx.client()?;
            let odd = [&request("GET", "/no-such-thing", "Content-Length: 5\r\n")[..], b"hello"].concat();
            client.send([get("/plaintext"), odd, get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            let answer = client.response()?;
            if ctx.standards && answer.status != 404 {
                // The standards let a server refuse a GET with content (RFC 9110 section 9.3.1).
                answer.one_of(&[400, 411, 413]).map_err(|stop| stop.in_response(2))?;
                return client.assert_closed();
            }
            answer.is(404).map_err(|stop| stop.in_response(2))?;
            let answer = client.response()?;
            let last = answer.is(200).and_then(|answer| answer.has_content("Hello, World!"));
            last.map_err(|stop| stop.in_response(3)).map(drop)
        },
    )
    .needs(PLAIN),
    case(
        "rest_of_a_burst",
        Must,
        "epoll(7)",
        "Requests that arrive together are all answered without further input",
        |ctx| {
            let mut client = ctx.client()?;
            for depth in [1, 2, 3, 17, 64, 129] {
                client.send(get("/plaintext").repeat(depth))?;
                for _ in 0..depth {
                    client.response()?.is(200)?;
                }
                client.assert_no_data("every request has been answered")?;
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "half_a_request_behind",
        Must,
        "RFC 9112 §9.3.2",
        "A complete request is answered before the rest of the next request arrives",
        |ctx| {
            let mut client = ctx.client()?;
            let next = get("/plaintext");
            let (first, second) = next.split_at(variant().cut(20, next.len()));
            client.send([&get("/plaintext")[..], first].concat())?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.assert_no_data("only half of the next request has been sent")?;
            client.send(second)?;
            client.response()?.is(200)?.has_content("Hello, World!").map(drop)
        },
    )
    .needs(PLAIN),
];
