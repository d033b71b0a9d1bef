//! The target: its four forms, and the bytes that it may not have.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{get_and_close, request};

pub(super) const CASES: &[Case] = &[
    case(
        "star_with_get",
        Should,
        "RFC 9112 §3, §3.2.4",
        "The target * belongs to OPTIONS alone",
        |ctx| ctx.refuses(request("GET", "*", ""), 400),
    ),
    case(
        "target_without_slash",
        Contract,
        "RFC 9112 §3.2.1",
        "A path begins with a slash",
        |ctx| ctx.refuses(request("GET", "plaintext", ""), 400),
    ),
    case(
        "absolute_form",
        Must,
        "RFC 9112 §3.2.2",
        "The absolute form is understood",
        |ctx| {
            ctx.ask(get_and_close("http://suite/plaintext"))?
                .is(200)?
                .holds("Hello, World!")
                .map(drop)
        },
    ),
    case(
        "absolute_form_upper_case",
        Must,
        "RFC 9110 §4.2.3",
        "A scheme's name is case-insensitive",
        |ctx| ctx.ask(get_and_close("HTTP://suite/plaintext"))?.is(200).map(drop),
    ),
    case(
        "absolute_form_beats_host",
        Must,
        "RFC 9112 §3.2.2",
        "With the absolute form the Host field is ignored",
        |ctx| {
            ctx.ask("GET http://suite/plaintext HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")?
                .is(200)
                .map(drop)
        },
    ),
    case(
        "absolute_form_needs_host",
        Must,
        "RFC 9112 §3.2",
        "Host is needed with the absolute form too",
        |ctx| ctx.refuses("GET http://suite/plaintext HTTP/1.1\r\n\r\n", 400),
    ),
    case(
        "absolute_form_without_path",
        Must,
        "RFC 9110 §4.2.3",
        "An empty path is the same as /",
        |ctx| ctx.ask(get_and_close("http://suite"))?.is(200).map(drop),
    )
    .needs(&[Need::Files]),
    case(
        "absolute_form_empty_host",
        Must,
        "RFC 9110 §4.2.1",
        "An http URL with an empty host is invalid",
        |ctx| {
            // RFC 9110 wants it rejected, and leaves open how.
            let statuses = ctx.either(&[400], &[400, 403, 404, 421]);
            ctx.refuses_with(request("GET", "http:///plaintext", ""), statuses)
        },
    ),
    case(
        "other_scheme",
        Contract,
        "RFC 9112 §3.2.2",
        "A URL of another scheme is not this server's",
        |ctx| ctx.refuses(request("GET", "ftp://suite/plaintext", ""), 400),
    ),
    case(
        "nul_in_target",
        Security,
        "RFC 9112 §3",
        "A NUL byte in the request line is malformed",
        |ctx| ctx.refuses("GET /plain\0text HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "control_in_target",
        Contract,
        "RFC 9112 §3.2",
        "A control character in the target is malformed",
        |ctx| ctx.refuses("GET /plain\x01text HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "delete_in_target",
        Contract,
        "RFC 9112 §3.2",
        "A DEL character in the target is malformed",
        |ctx| ctx.refuses("GET /plain\x7ftext HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "query_is_ignored",
        Contract,
        "RFC 9110 §4.2.1",
        "The query does not change the route",
        |ctx| {
            ctx.get("/plaintext?a=b&c=../../x")?.is(200)?.holds("Hello, World!").map(drop)
        },
    ),
];
