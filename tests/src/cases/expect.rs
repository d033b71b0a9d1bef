//! `Expect: 100-continue`: the client waits for the interim response 100 before it sends the
//! content.

use std::time::Duration;

use crate::case::Kind::{Contract, Must};
use crate::case::{Case, Need, case};
use crate::client::Peek;
use crate::ctx::{Ctx, request};
use crate::verdict::{Verdict, ensure};

/// Returns the head of a POST to `/echo` with `Expect: 100-continue` and the additional `fields`.
fn asking(fields: &str) -> Vec<u8> {
    request("POST", "/echo", &format!("Expect: 100-continue\r\n{fields}"))
}

/// Sends a head, waits for the interim response 100, sends `body`, and asserts that the content
/// `hello` is echoed.
fn asks_then_sends(ctx: &mut Ctx<'_>, fields: &str, body: &str) -> Verdict {
    let mut client = ctx.client()?;
    client.send(asking(fields))?;
    client.any_response("POST")?.is(100)?;
    client.send(body)?;
    client.any_response("POST")?.is(200)?.has_content("hello").map(drop)
}

const ECHO: &[Need] = &[Need::Echo];

pub(super) const CASES: &[Case] = &[
    case(
        "asks_first",
        Must,
        "RFC 9110 §10.1.1",
        "A client that waits for 100 Continue receives it, then the final response",
        |ctx| asks_then_sends(ctx, "Content-Length: 5\r\n", "hello"),
    )
    .needs(ECHO),
    case(
        "asks_first_chunked",
        Must,
        "RFC 9110 §10.1.1",
        "A client with chunked content receives 100 Continue",
        |ctx| asks_then_sends(ctx, "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
    )
    .needs(ECHO),
    case("ignores_case", Must, "RFC 9110 §10.1.1", "The expectation's name is case-insensitive", |ctx| {
        let mut client = ctx.client()?;
        client.send(request("POST", "/echo", "expect: 100-CONTINUE\r\nContent-Length: 5\r\n"))?;
        client.any_response("POST")?.is(100)?;
        client.send("hello")?;
        client.any_response("POST")?.is(200)?.has_content("hello").map(drop)
    })
    .needs(ECHO),
    case(
        "sends_at_once",
        Must,
        "RFC 9110 §10.1.1",
        "A client that does not wait receives only the final response",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([&asking("Content-Length: 5\r\n")[..], b"hello"].concat())?;
            client.response()?.is(200)?.has_content("hello").map(drop)
        },
    )
    .needs(ECHO),
    case("twice", Must, "RFC 9110 §10.1.1", "Each request on a connection may expect 100 Continue", |ctx| {
        let mut client = ctx.client()?;
        for _ in 0..2 {
            client.send(asking("Content-Length: 5\r\n"))?;
            client.any_response("POST")?.is(100)?;
            client.send("hello")?;
            client.any_response("POST")?.is(200)?.has_content("hello")?;
        }
        Ok(())
    })
    .needs(ECHO),
    case(
        "behind_another",
        Must,
        "RFC 9112 §9.3.2",
        "100 Continue follows the response to the request before",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([crate::ctx::get("/plaintext"), asking("Content-Length: 5\r\n")].concat())?;
            client.any_response("GET")?.is(200)?.has_content("Hello, World!")?;
            client.any_response("POST")?.is(100)?;
            client.send("hello")?;
            client.any_response("POST")?.is(200)?.has_content("hello").map(drop)
        },
    )
    .needs(ECHO),
    case(
        "no_content_to_come",
        Contract,
        "RFC 9110 §10.1.1",
        "A request without content receives no 100 Continue",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("GET", "/plaintext", "Expect: 100-continue\r\n"))?;
            client.any_response("GET")?.is(200).map(drop)
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "too_large",
        Contract,
        "RFC 9110 §10.1.1",
        "Content that will be refused is refused before it is sent",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(asking("Content-Length: 2000000\r\n"))?;
            client.any_response("POST")?.is(413)?;
            client.assert_closed()
        },
    )
    .needs(ECHO),
    case(
        "refused_method",
        Contract,
        "RFC 9110 §10.1.1",
        "A method that will be refused is refused without waiting for the content",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("PUT", "/plaintext", "Expect: 100-continue\r\nContent-Length: 5\r\n"))?;
            client.any_response("PUT")?.one_of(&[100, 405])?;
            Ok(())
        },
    )
    .needs(&[Need::Plaintext]),
    case("unknown", Contract, "RFC 9110 §10.1.1", "An unknown expectation is 417", |ctx| {
        let head = request("POST", "/echo", "Expect: a-miracle\r\nContent-Length: 5\r\n");
        ctx.assert_refused_without_smuggling([&head[..], b"hello"].concat(), &[417])
    }),
    case("http_1_0", Must, "RFC 9110 §10.1.1", "An HTTP/1.0 request receives no 100 Continue", |ctx| {
        let mut client = ctx.client()?;
        client.send("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")?;
        // The server has read the head and must wait for the content. Give a faulty server 100 ms
        // to send the interim response 100; the first response is judged below, however late it
        // arrives.
        client.wait_until_read();
        let _ = client.peek(Duration::from_millis(100)) == Peek::Nothing;
        client.send("hello")?;
        let answer = client.any_response("POST")?;
        ensure(answer.status != 100, "no 100 Continue for HTTP/1.0", "100 Continue")?;
        answer.is(200)?.has_content("hello").map(drop)
    })
    .needs(ECHO),
];
