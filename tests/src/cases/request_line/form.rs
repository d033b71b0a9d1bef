//! The request line as a whole: how it begins, how it ends, and the separators in it.

use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, case};
use crate::ctx::{get, get_and_close};

pub(super) const CASES: &[Case] = &[
    case(
        "plain_get",
        Must,
        "RFC 9110 §9.3.1",
        "GET is answered with 200 and the content",
        |ctx| ctx.get("/plaintext")?.is(200)?.has_content("Hello, World!").map(drop),
    ),
    case(
        "lf_alone",
        Contract,
        "RFC 9112 §2.2",
        "A request line that ends with LF alone is refused",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "all_lf",
        Contract,
        "RFC 9112 §2.2",
        "A head whose lines all end with LF alone is refused",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1\nHost: suite\n\n", 400),
    ),
    case(
        "bare_cr",
        Must,
        "RFC 9112 §2.2",
        "A CR without LF is refused, not treated as the end of the line",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1\rHost: suite\r\n\r\n", 400),
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
            client.assert_closed()
        },
    ),
    case(
        "two_spaces",
        Contract,
        "RFC 9112 §3",
        "Two spaces between method and target are refused",
        |ctx| ctx.assert_refused("GET  /plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "tab_for_space",
        Contract,
        "RFC 9112 §3",
        "A tab instead of a space in a request line is refused",
        |ctx| ctx.assert_refused("GET\t/plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_in_target",
        Should,
        "RFC 9112 §3",
        "A space within the target is refused, not repaired",
        |ctx| ctx.assert_refused("GET /plain text HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_at_end",
        Contract,
        "RFC 9112 §3",
        "A space after the version is refused",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1 \r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "space_at_start",
        Contract,
        "RFC 9112 §3",
        "A space before the method is refused",
        |ctx| ctx.assert_refused(" GET /plaintext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "no_version",
        Contract,
        "RFC 9112 §3",
        "A request line without a version (HTTP/0.9) is refused",
        |ctx| ctx.assert_refused("GET /plaintext\r\n\r\n", 400),
    ),
    case(
        "no_target",
        Contract,
        "RFC 9112 §3",
        "A request line without a target is refused",
        |ctx| ctx.assert_refused("GET HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "tls_hello",
        Contract,
        "RFC 9112 §2.2",
        "A TLS handshake is refused in plain text, not left without a response",
        |ctx| {
            ctx.assert_refused(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400)
        },
    ),
];
