//! The request target: its four forms, and bytes that a target must not contain.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{get_and_close, request};

pub(super) const CASES: &[Case] = &[
    case(
        "star_with_get",
        Should,
        "RFC 9112 §3, §3.2.4",
        "The target * is refused for methods other than OPTIONS",
        |ctx| ctx.assert_refused(request("GET", "*", ""), 400),
    ),
    case(
        "target_without_slash",
        Contract,
        "RFC 9112 §3.2.1",
        "A target that does not begin with a slash is refused",
        |ctx| ctx.assert_refused(request("GET", "plaintext", ""), 400),
    ),
    case(
        "absolute_form",
        Must,
        "RFC 9112 §3.2.2",
        "A target in absolute form is accepted",
        |ctx| {
            ctx.ask(get_and_close("http://suite/plaintext"))?
                .is(200)?
                .has_content("Hello, World!")
                .map(drop)
        },
    ),
    case(
        "absolute_form_upper_case",
        Must,
        "RFC 9110 §4.2.3",
        "The scheme of an absolute form is case-insensitive",
        |ctx| ctx.ask(get_and_close("HTTP://suite/plaintext"))?.is(200).map(drop),
    ),
    case(
        "absolute_form_beats_host",
        Must,
        "RFC 9112 §3.2.2",
        "With a target in absolute form the Host field is ignored",
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
        "A target in absolute form without a Host field is refused",
        |ctx| ctx.assert_refused("GET http://suite/plaintext HTTP/1.1\r\n\r\n", 400),
    ),
    case(
        "absolute_form_without_path",
        Must,
        "RFC 9110 §4.2.3",
        "An empty path in absolute form is the same as /",
        |ctx| ctx.ask(get_and_close("http://suite"))?.is(200).map(drop),
    )
    .needs(&[Need::Files]),
    case(
        "absolute_form_empty_host",
        Must,
        "RFC 9110 §4.2.1",
        "A target in absolute form with an empty host is refused",
        |ctx| {
            // RFC 9110 requires a server to reject a target with an empty host, but prescribes no
            // status.
            let statuses = ctx.either(&[400], &[400, 403, 404, 421]);
            ctx.assert_refused_with(request("GET", "http:///plaintext", ""), statuses)
        },
    ),
    case(
        "absolute_form_bad_host",
        Must,
        "RFC 9112 §3.2, RFC 3986 §3.2.2",
        "A URL with an invalid host is refused, as an invalid Host is",
        |ctx| {
            let hosts = ["[12345]", "[::1", "%zz", "me@suite", "suite:http"];
            let statuses = ctx.either(&[400], &[400, 403, 404, 421]);
            hosts.into_iter().try_for_each(|host| {
                let target = format!("http://{host}/plaintext");
                ctx.assert_refused_with(request("GET", &target, ""), statuses)
            })
        },
    ),
    case(
        "absolute_form_addresses",
        Must,
        "RFC 3986 §3.2.2",
        "A URL whose host is an IP address is accepted",
        |ctx| {
            ["127.0.0.1:80", "[::1]:8080", "[v1.x]"].into_iter().try_for_each(|host| {
                ctx.get(&format!("http://{host}/plaintext"))?.is(200).map(drop)
            })
        },
    ),
    case(
        "other_scheme",
        Contract,
        "RFC 9112 §3.2.2",
        "A target in absolute form with another scheme is refused",
        |ctx| ctx.assert_refused(request("GET", "ftp://suite/plaintext", ""), 400),
    ),
    case(
        "nul_in_target",
        Security,
        "RFC 9112 §3",
        "A NUL byte in the target is refused",
        |ctx| ctx.assert_refused("GET /plain\0text HTTP/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "control_in_target",
        Contract,
        "RFC 9112 §3.2",
        "A control character in the target is refused",
        |ctx| {
            ctx.assert_refused("GET /plain\x01text HTTP/1.1\r\nHost: suite\r\n\r\n", 400)
        },
    ),
    case(
        "delete_in_target",
        Contract,
        "RFC 9112 §3.2",
        "A DEL character in the target is refused",
        |ctx| {
            ctx.assert_refused("GET /plain\x7ftext HTTP/1.1\r\nHost: suite\r\n\r\n", 400)
        },
    ),
    case(
        "query_is_ignored",
        Contract,
        "RFC 9110 §4.2.1",
        "The query does not change the route",
        |ctx| {
            ctx.get("/plaintext?a=b&c=../../x")?
                .is(200)?
                .has_content("Hello, World!")
                .map(drop)
        },
    ),
];
