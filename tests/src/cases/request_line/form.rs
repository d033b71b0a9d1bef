//! The line as a whole: where it begins and ends, and what stands between its parts.

use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, case};
use crate::ctx::{get, get_and_close};

pub(super) const CASES: &[Case] = &[
    case(
        "plain_get",
        Must,
        "RFC 9110 §9.3.1",
        "GET is answered 200 with its content",
        |ctx| ctx.get("/plaintext")?.is(200)?.holds("Hello, World!").map(drop),
    ),
    case(
        "lf_alone",
        Contract,
        "RFC 9112 §2.2",
        "A request line that ends with LF alone is refused",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.1\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "all_lf",
        Contract,
        "RFC 9112 §2.2",
        "A head whose lines all end with LF alone is refused",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.1\nHost: suite\n\n", 400),
    ),
    case(
        "bare_cr",
        Must,
        "RFC 9112 §2.2",
        "A CR that no LF follows is refused, not taken for an end of line",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.1\rHost: suite\r\n\r\n", 400),
    ),
    case(
        "empty_line_before",
        Should,
        "RFC 9112 §2.2",
        "One empty line before a request is ignored",
        |ctx| {
            ctx.ask([b"\r\n", &get_and_close("/plaintext")[..]].concat())?
                .is(200)
                .map(drop)
        },
    ),
    case(
        "empty_line_between",
        Should,
        "RFC 9112 §2.2",
        "One empty line between two requests is ignored",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(
                [&get("/plaintext")[..], b"\r\n", &get_and_close("/plaintext")].concat(),
            )?;
            client.response()?.is(200)?;
            client.response()?.is(200)?;
            client.ends()
        },
    ),
    case(
        "two_spaces",
        Contract,
        "RFC 9112 §3",
        "Two spaces between method and target are malformed",
        |ctx| ctx.refuses("GET  /plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "tab_for_space",
        Contract,
        "RFC 9112 §3",
        "A tab is no separator in a request line",
        |ctx| ctx.refuses("GET\t/plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_in_target",
        Should,
        "RFC 9112 §3",
        "A space within the target is malformed, not repaired",
        |ctx| ctx.refuses("GET /plain text HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_at_end",
        Contract,
        "RFC 9112 §3",
        "A space behind the version is malformed",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.1 \r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_at_start",
        Contract,
        "RFC 9112 §3",
        "A space before the method is malformed",
        |ctx| ctx.refuses(" GET /plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "no_version",
        Contract,
        "RFC 9112 §3",
        "A request line without version (HTTP/0.9) is malformed",
        |ctx| ctx.refuses("GET /plaintext\r\n\r\n", 400),
    ),
    case(
        "no_target",
        Contract,
        "RFC 9112 §3",
        "A request line without target is malformed",
        |ctx| ctx.refuses("GET HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "tls_hello",
        Contract,
        "RFC 9112 §2.2",
        "A TLS handshake is refused in plain words, not left hanging",
        |ctx| ctx.refuses(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400),
    ),
];
