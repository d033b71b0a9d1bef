//! The version: how it is spelled, and which are spoken.

use crate::case::Kind::{Contract, Should};
use crate::case::{Case, case};

pub(super) const CASES: &[Case] = &[
    case(
        "lower_case_http",
        Should,
        "RFC 9112 §2.3",
        "The protocol's name is case-sensitive",
        |ctx| ctx.refuses("GET /plaintext http/1.1\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "version_of_three_digits",
        Should,
        "RFC 9112 §2.3",
        "A version has one digit on either side of the dot",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.10\r\nHost: suite\r\n\r\n", 400),
    ),
    case(
        "version_without_dot",
        Should,
        "RFC 9112 §2.3",
        "A version without its dot is malformed",
        |ctx| {
            let statuses = ctx.either(&[400], &[400, 505]);
            ctx.refuses_with("GET /plaintext HTTP/11\r\nHost: suite\r\n\r\n", statuses)
        },
    ),
    case(
        "version_2",
        Contract,
        "RFC 9110 §15.6.6",
        "A major version that is not spoken is 505",
        |ctx| ctx.refuses("GET /plaintext HTTP/2.0\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "version_0_9",
        Contract,
        "RFC 9110 §15.6.6",
        "A major version that is not spoken is 505",
        |ctx| ctx.refuses("GET /plaintext HTTP/0.9\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "version_1_2",
        Contract,
        "RFC 9110 §2.5",
        "A minor version that nobody defined is 505",
        |ctx| ctx.refuses("GET /plaintext HTTP/1.2\r\nHost: suite\r\n\r\n", 505),
    ),
    case(
        "http2_preface",
        Contract,
        "RFC 9113 §3.4",
        "HTTP/2 without asking is refused in HTTP/1.1's words",
        |ctx| ctx.refuses("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ),
];
