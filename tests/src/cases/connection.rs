//! Keep-alive, half-close, and the end of a connection.

use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, Need, case};
use crate::client::End;
use crate::ctx::{echo, get, get_and_close, request};
use crate::fixture::generated;
use crate::verdict::{Abort, ensure};

const PLAIN: &[Need] = &[Need::Plaintext];

pub(super) const CASES: &[Case] = &[
    case(
        "persists",
        Should,
        "RFC 9112 §9.3",
        "An HTTP/1.1 connection stays open for a hundred requests, one after the other",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..100 {
                client.send(get("/plaintext"))?;
                let answer = client.response()?;
                answer.is(200)?.has_content("Hello, World!")?;
                ensure(
                    !answer.announces_close(),
                    "a connection that stays open",
                    "a response that announces the close (Connection: close, or HTTP/1.0)",
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
        "A request with Connection: close gets a response with Connection: close, then the server closes",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            let answer = client.response()?;
            answer.is(200)?;
            if !ctx.standards {
                // RFC 9112 requires the server to close the connection (MUST), but only recommends
                // the field `Connection: close` (SHOULD). The contract demands both.
                answer.list_has("Connection", "close")?;
            }
            client.assert_closed()
        },
    ),
    case("close_in_a_list", Must, "RFC 9110 §7.6.1", "close is recognized within a list, in uppercase and lowercase", |ctx| {
        let mut client = ctx.client()?;
        client.send(request("GET", "/plaintext", "Connection: x-thing ,  CLOSE\r\n"))?;
        client.response()?.is(200)?;
        client.assert_closed()
    }),
    case(
        "close_on_second_line",
        Must,
        "RFC 9110 §5.3",
        "close is recognized in a second Connection field",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Connection: x-thing\r\nConnection: close\r\n"))?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    ),
    case(
        "close_beats_keep_alive",
        Must,
        "RFC 9112 §9.3",
        "With both keep-alive and close, the server closes",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Connection: keep-alive, close\r\n"))?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    ),
    case(
        "http_1_0_closes",
        Must,
        "RFC 9112 §9.3",
        "An HTTP/1.0 connection without keep-alive is closed after one response",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("GET /plaintext HTTP/1.0\r\n\r\n")?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.assert_closed()
        },
    ),
    case(
        "http_1_0_keep_alive",
        Should,
        "RFC 9112 §9.3",
        "An HTTP/1.0 connection with keep-alive stays open, and the response says keep-alive",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..3 {
                client.send("GET /plaintext HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")?;
                let answer = client.response()?;
                if ctx.standards && !answer.list_contains("Connection", "keep-alive") {
                    return Err(Abort::skip(
                        "the server does not support keep-alive with HTTP/1.0, which is optional",
                    ));
                }
                answer.is(200)?.list_has("Connection", "keep-alive")?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(PLAIN),
    case(
        "http_1_0_is_not_chunked",
        Must,
        "RFC 9112 §6.1",
        "A response to HTTP/1.0 has no transfer coding",
        |ctx| {
            let answer = ctx.ask("GET /plaintext HTTP/1.0\r\n\r\n")?;
            answer.is(200)?.lacks("Transfer-Encoding")
        },
    ),
    case(
        "nothing_after_close",
        Must,
        "RFC 9112 §9.6",
        "A request behind one with Connection: close is not answered",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get_and_close("/plaintext"), get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    ),
    case("after_404", Contract, "RFC 9112 §9.3", "A 404 does not close the connection", |ctx| {
        ctx.assert_answered(get("/there-is-no-such-thing"), 404).map(drop)
    })
    .needs(PLAIN),
    case("after_head", Must, "RFC 9112 §6.3", "The response to HEAD has no content: the next response follows directly", |ctx| {
        let mut client = ctx.client()?;
        for _ in 0..5 {
            client.send(request("HEAD", "/plaintext", ""))?;
            client.response_to("HEAD")?.is(200)?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
        }
        Ok(())
    })
    .needs(PLAIN),
    case(
        "half_close_gets_its_answer",
        Contract,
        "RFC 9112 §9.6",
        "A client that shuts down its sending side still gets its response",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.half_close();
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.assert_closed()
        },
    ),
    case(
        "half_close_after_several",
        Contract,
        "RFC 9112 §9.6",
        "A client that shuts down its sending side gets the responses to all its requests",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), echo(b"hello"), get("/plaintext")].concat())?;
            client.half_close();
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.response()?.is(200)?.has_content("hello")?;
            client.response()?.is(200)?.has_content("Hello, World!")?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Echo]),
    case(
        "half_close_and_a_long_answer",
        Contract,
        "RFC 9112 §9.6",
        "A client that shuts down its sending side gets a response larger than every buffer",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/4000000"))?;
            client.half_close();
            client.response()?.is(200)?.has_content(generated(4_000_000))?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Bytes]),
    case(
        "half_close_while_it_sleeps",
        Contract,
        "RFC 9112 §9.6",
        "A client that shuts down its sending side gets a response that takes time",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/sleep/300"))?;
            client.half_close();
            client.response()?.is(200)?.has_content("slept 300 ms\n")?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Sleep]),
    case(
        "idle_half_close",
        Contract,
        "RFC 9112 §9.5",
        "When a client shuts down its sending side between requests, the server closes without a response",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            client.half_close();
            client.assert_closed()
        },
    )
    .needs(PLAIN),
    case(
        "end_is_seen_behind_a_refusal",
        Should,
        "RFC 9112 §9.6",
        "After a refusal the server shuts down its sending side before it lingers, so that the client sees the end immediately",
        |ctx| {
            ctx.serve(&[("linger-timeout", "3600")])?;
            ctx.assert_refused("nonsense\r\n\r\n", 400)
        },
    ),
    case(
        "lingering_close",
        Must,
        "RFC 9112 §9.6",
        "Unread bytes behind a refused request do not turn the close into a reset, which would destroy the response",
        |ctx| {
            let mut client = ctx.client()?;
            // The malformed first line and the 48 KiB behind it are sent together, so that the
            // server has unread bytes when it refuses the request.
            let mut bytes = b"nonsense\r\n\r\n".to_vec();
            bytes.extend(std::iter::repeat_n(b'x', 48 * 1024));
            client.send(bytes)?;
            let answer = client.response();
            answer.map_err(|stop| stop.expecting("a refusal, status 400"))?.is(400)?;
            client.assert_closed()
        },
    ),
    case(
        "end_is_seen_while_it_lingers",
        Contract,
        "RFC 9112 §9.6",
        "The server shuts down its sending side before it lingers, so that the client sees the end immediately",
        |ctx| {
            ctx.serve(&[("linger-timeout", "3600")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    ),
    case(
        "lingering_close_late_bytes",
        Must,
        "RFC 9112 §9.6",
        "Bytes that arrive after the refusal was sent do not destroy it",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("nonsense\r\n\r\n")?;
            // The client reads nothing before it sends more bytes, which arrive after the refusal.
            // If the server had closed its socket, the server's kernel would answer these bytes
            // with RST, and the refusal would be lost.
            let seen = client.peek(crate::timeout::timeout());
            ensure(
                seen == crate::client::Peek::Bytes,
                "a refusal, status 400",
                seen.describe(),
            )?;
            client.send_in_pieces([&b"late"[..], b"and", b"later"])?;
            client.response()?.is(400)?;
            client.assert_closed()
        },
    ),
    case(
        "lingering_close_after_413",
        Must,
        "RFC 9112 §9.6",
        "Content that is refused for its size, but sent anyway, does not destroy the refusal",
        |ctx| {
            let mut client = ctx.client()?;
            let mut bytes = request("POST", "/echo", "Content-Length: 10000000\r\n");
            bytes.extend(std::iter::repeat_n(b'x', 48 * 1024));
            client.send(bytes)?;
            client.response()?.is(413)?.list_has("Connection", "close")?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Echo]),
    case(
        "closing_is_not_resetting",
        Must,
        "RFC 9112 §9.6",
        "A long response arrives whole before the connection is closed",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get_and_close("/bytes/1000000"))?;
            client.response()?.is(200)?.has_content(generated(1_000_000))?;
            let (_, end) = client.read_to_end()?;
            ensure(end == End::Closed, "a close in good order", "a reset (RST)")
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
                ctx.assert_healthy()?;
            }
            Ok(())
        },
    ),
];
