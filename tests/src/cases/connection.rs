//! One connection, many requests; and how it ends.

use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, Need, case};
use crate::client::End;
use crate::ctx::{echo, get, get_and_close, request};
use crate::fixture::generated;
use crate::verdict::{Stop, demand};

const PLAIN: &[Need] = &[Need::Plaintext];

pub(super) const CASES: &[Case] = &[
    case(
        "persists",
        Should,
        "RFC 9112 §9.3",
        "HTTP/1.1 connections persist: a hundred requests, one after the other",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..100 {
                client.send(get("/plaintext"))?;
                let answer = client.response()?;
                answer.is(200)?.holds("Hello, World!")?;
                demand(
                    !answer.tells_end(),
                    "a connection that persists",
                    "an answer that says it is the last (Connection: close, or HTTP/1.0)",
                )?;
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "close_is_obeyed",
        Must,
        "RFC 9112 §9.6",
        "After Connection: close the answer says close, and the end follows",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            let answer = client.response()?;
            answer.is(200)?;
            if !ctx.standards {
                // RFC 9112 asks for the field with SHOULD, for the end with MUST.
                answer.names("Connection", "close")?;
            }
            client.ends()
        },
    ),
    case("close_in_a_list", Must, "RFC 9110 §7.6.1", "close is found in a list, in any case", |ctx| {
        let mut client = ctx.client()?;
        client.send(request("GET", "/plaintext", "Connection: x-thing ,  CLOSE\r\n"))?;
        client.response()?.is(200)?;
        client.ends()
    }),
    case(
        "close_on_second_line",
        Must,
        "RFC 9110 §5.3",
        "close is found on a second Connection line",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Connection: x-thing\r\nConnection: close\r\n"))?;
            client.response()?.is(200)?;
            client.ends()
        },
    ),
    case(
        "close_beats_keep_alive",
        Must,
        "RFC 9112 §9.3",
        "With both close and keep-alive, close is obeyed",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Connection: keep-alive, close\r\n"))?;
            client.response()?.is(200)?;
            client.ends()
        },
    ),
    case(
        "http_1_0_closes",
        Must,
        "RFC 9112 §9.3",
        "HTTP/1.0 without keep-alive ends after one answer",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("GET /plaintext HTTP/1.0\r\n\r\n")?;
            client.response()?.is(200)?.holds("Hello, World!")?;
            client.ends()
        },
    ),
    case(
        "http_1_0_keep_alive",
        Should,
        "RFC 9112 §9.3",
        "HTTP/1.0 with keep-alive persists, and the answer says keep-alive",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..3 {
                client.send("GET /plaintext HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")?;
                let answer = client.response()?;
                if ctx.standards && !answer.lists("Connection", "keep-alive") {
                    return Err(Stop::skip(
                        "the server does not agree to HTTP/1.0's keep-alive, as it may",
                    ));
                }
                answer.is(200)?.names("Connection", "keep-alive")?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "http_1_0_is_not_chunked",
        Must,
        "RFC 9112 §6.1",
        "HTTP/1.0 is never answered with a transfer coding",
        |ctx| {
            let answer = ctx.ask("GET /plaintext HTTP/1.0\r\n\r\n")?;
            answer.is(200)?.lacks("Transfer-Encoding")
        },
    ),
    case(
        "nothing_after_close",
        Must,
        "RFC 9112 §9.6",
        "What comes behind a request with close is not answered",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get_and_close("/plaintext"), get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            client.ends()
        },
    ),
    case("after_404", Contract, "RFC 9112 §9.3", "404 does not end a connection", |ctx| {
        ctx.answers(get("/there-is-no-such-thing"), 404).map(drop)
    })
    .needs(PLAIN),
    case("after_head", Must, "RFC 9112 §6.3", "Behind HEAD's answer the next begins at once", |ctx| {
        let mut client = ctx.client()?;
        for _ in 0..5 {
            client.send(request("HEAD", "/plaintext", ""))?;
            client.response_to("HEAD")?.is(200)?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?.holds("Hello, World!")?;
        }
        Ok(())
    })
    .needs(PLAIN),
    case(
        "half_close_gets_its_answer",
        Contract,
        "RFC 9112 §9.6",
        "A client that closes its sending side still gets its answer",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.half_close();
            client.response()?.is(200)?.holds("Hello, World!")?;
            client.ends()
        },
    ),
    case(
        "half_close_after_several",
        Contract,
        "RFC 9112 §9.6",
        "… and the answers to everything that it sent",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), echo(b"hello"), get("/plaintext")].concat())?;
            client.half_close();
            client.response()?.is(200)?.holds("Hello, World!")?;
            client.response()?.is(200)?.holds("hello")?;
            client.response()?.is(200)?.holds("Hello, World!")?;
            client.ends()
        },
    )
    .needs(&[Need::Echo]),
    case(
        "half_close_and_a_long_answer",
        Contract,
        "RFC 9112 §9.6",
        "… also when the answer is longer than every buffer",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/4000000"))?;
            client.half_close();
            client.response()?.is(200)?.holds(generated(4_000_000))?;
            client.ends()
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "half_close_while_it_sleeps",
        Contract,
        "RFC 9112 §9.6",
        "… also when the answer comes later",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/sleep/300"))?;
            client.half_close();
            client.response()?.is(200)?.holds("slept 300 ms\n")?;
            client.ends()
        },
    )
    .needs(&[Need::Sleep]),
    case(
        "idle_half_close",
        Contract,
        "RFC 9112 §9.5",
        "A client that closes between requests is closed in turn, without a word",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            client.half_close();
            client.ends()
        },
    )
    .needs(PLAIN),
    case(
        "end_is_seen_behind_a_refusal",
        Should,
        "RFC 9112 §9.6",
        "The server closes its own side first: the client sees the end at once, however long the server lingers",
        |ctx| {
            ctx.serve(&[("linger-timeout", "3600")])?;
            ctx.refuses("nonsense\r\n\r\n", 400)
        },
    ),
    case(
        "lingering_close",
        Must,
        "RFC 9112 §9.6",
        "Bytes behind a refusal do not turn the close into a reset that destroys the answer",
        |ctx| {
            let mut client = ctx.client()?;
            // The rest is on its way before the server has answered the first part.
            let mut bytes = b"nonsense\r\n\r\n".to_vec();
            bytes.extend(std::iter::repeat_n(b'x', 48 * 1024));
            client.send(bytes)?;
            let answer = client.response();
            answer.map_err(|stop| stop.awaiting("a refusal, status 400"))?.is(400)?;
            client.ends()
        },
    ),
    case(
        "end_is_seen_while_it_lingers",
        Contract,
        "RFC 9112 §9.6",
        "The server stops sending before it lingers: the client sees the end at once",
        |ctx| {
            ctx.serve(&[("linger-timeout", "3600")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()
        },
    ),
    case(
        "lingering_close_late_bytes",
        Must,
        "RFC 9112 §9.6",
        "Bytes that come after the refusal was sent do not destroy it",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("nonsense\r\n\r\n")?;
            // Nothing is read before the late bytes have been sent; a server that
            // closed outright now answers them with RST, and the refusal is lost.
            let seen = client.look(crate::patience::patience());
            demand(
                seen == crate::client::Seen::Bytes,
                "a refusal, status 400",
                seen.in_words(),
            )?;
            client.send_in_pieces([&b"late"[..], b"and", b"later"])?;
            client.response()?.is(400)?;
            client.ends()
        },
    ),
    case(
        "lingering_close_after_413",
        Must,
        "RFC 9112 §9.6",
        "Content that is refused for its size, and sent all the same, does not destroy the refusal",
        |ctx| {
            let mut client = ctx.client()?;
            let mut bytes = request("POST", "/echo", "Content-Length: 10000000\r\n");
            bytes.extend(std::iter::repeat_n(b'x', 48 * 1024));
            client.send(bytes)?;
            client.response()?.is(413)?.names("Connection", "close")?;
            client.ends()
        },
    )
    .needs(&[Need::Echo]),
    case(
        "closing_is_not_resetting",
        Must,
        "RFC 9112 §9.6",
        "A long answer arrives whole before the end",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get_and_close("/bytes/1000000"))?;
            client.response()?.is(200)?.holds(generated(1_000_000))?;
            let (_, end) = client.rest()?;
            demand(end == End::Closed, "a close in good order", "a reset")
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "a_thousand_connections",
        Contract,
        "accept(2)",
        "A thousand connections, one after the other, are all answered",
        |ctx| {
            for _ in 0..1000 {
                ctx.is_well()?;
            }
            Ok(())
        },
    ),
];
