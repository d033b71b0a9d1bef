//! The version in the request line: its spelling, and the versions that the server supports.

use crate::case::Kind::{Contract, Should};
use crate::case::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "lower_case_http",
        Should,
        "RFC 9112 §2.3",
        "The protocol name HTTP is case-sensitive",
        |ctx| ctx.assert_refused("GET /plaintext http/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "version_of_three_digits",
        Should,
        "RFC 9112 §2.3",
        "A version with two digits after the dot is refused",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.10\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "version_without_dot",
        Should,
        "RFC 9112 §2.3",
        "A version without a dot is refused",
        |ctx| {
            let statuses = ctx.either(&[400], &[400, 505]);
            ctx.assert_refused_with(
                "GET /plaintext HTTP/11\r\nHost: suite\r\n\r\n",
                statuses,
            )
        },
    ),
    case(
        "version_2",
        Contract,
        "RFC 9110 §15.6.6",
        "An unsupported major version is 505",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/2.0\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "version_0_9",
        Contract,
        "RFC 9110 §15.6.6",
        "An unsupported major version is 505",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/0.9\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "version_1_2",
        Contract,
        "RFC 9110 §2.5",
        "An undefined minor version is 505",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.2\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "http2_preface",
        Contract,
        "RFC 9113 §3.4",
        "The preface of HTTP/2 is refused with an HTTP/1.1 response",
        |ctx| ctx.assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ),
];
