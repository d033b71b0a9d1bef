//! Header fields: names, values, Host, and the fields of every response.

use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get_and_close, request};
use crate::verdict::{Verdict, ensure};

/// Asserts that a request with the raw bytes `lines` after its `Host` line is refused.
fn refuses(ctx: &mut Ctx<'_>, lines: &[u8]) -> Verdict {
    let head = b"GET /plaintext HTTP/1.1\r\nHost: suite\r\n";
    ctx.assert_refused_without_smuggling([head, lines, b"\r\n\r\n"].concat(), &[400])
}

/// Asserts that a request with the raw bytes `lines` after its `Host` line is refused. If the
/// server is judged by the standards alone, it may also replace the invalid bytes by spaces and
/// answer the request.
fn refuses_or_repairs(ctx: &mut Ctx<'_>, lines: &[u8]) -> Verdict {
    if ctx.standards {
        let head = b"GET /plaintext HTTP/1.1\r\nHost: suite\r\nConnection: close\r\n";
        let answer = ctx.ask([head, lines, b"\r\n\r\n"].concat())?;
        return answer.one_of(&[200, 400]).map(drop);
    }
    refuses(ctx, lines)
}

/// Asserts that a request with the raw bytes `lines` after its `Host` line is answered.
fn takes(ctx: &mut Ctx<'_>, lines: &[u8]) -> Verdict {
    let head = b"GET /plaintext HTTP/1.1\r\nHost: suite\r\n";
    ctx.assert_answered([head, lines, b"\r\n\r\n"].concat(), 200).map(drop)
}

/// Asserts that a request with the raw text `lines` in place of its `Host` line is refused.
fn refuses_host(ctx: &mut Ctx<'_>, lines: &str) -> Verdict {
    ctx.assert_refused(format!("GET /plaintext HTTP/1.1\r\n{lines}\r\n"), 400)
}

/// Asserts that a request with the value `host` in the field Host is answered.
fn takes_host(ctx: &mut Ctx<'_>, host: &str) -> Verdict {
    let head =
        format!("GET /plaintext HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    ctx.ask(head)?.is(200).map(drop)
}

/// Asserts that the response to `bytes` has the status `status`, a Date field, and a stated length
/// of the content.
fn complete(ctx: &mut Ctx<'_>, bytes: &[u8], status: u16) -> Verdict {
    let answer =
        ctx.ask(bytes).map_err(|stop| stop.expecting(format!("status {status}")))?;
    if ctx.standards {
        // If the server is judged by the standards alone, a response whose content ends with the
        // connection needs no length, and a server without any support for DELETE may send 501.
        let also = if status == 405 { 501 } else { status };
        answer.one_of(&[status, also])?;
    } else {
        answer.is(status)?.has_length()?;
    }
    let date = answer.field("Date").unwrap_or_default();
    ensure(
        date.ends_with(" GMT")
            && date.len() == 29
            && httpdate::parse_http_date(date).is_ok(),
        "a Date field in the preferred form (RFC 9110 section 5.6.7)",
        if date.is_empty() {
            "no Date field".to_owned()
        } else {
            format!("Date: {date}")
        },
    )?;
    ensure(
        answer.all("Date").len() == 1,
        "one Date field",
        format!("{:?}", answer.all("Date")),
    )
}

pub(super) const CASES: &[Case] = &[
    case("no_host", Must, "RFC 9112 §3.2", "HTTP/1.1 without Host is 400", |ctx| {
        refuses_host(ctx, "")
    }),
    case("two_hosts", Must, "RFC 9112 §3.2", "Two Host fields are 400", |ctx| {
        refuses_host(ctx, "Host: suite\r\nHost: other\r\n")
    }),
    case(
        "two_equal_hosts",
        Must,
        "RFC 9112 §3.2",
        "Two Host fields are 400 even when they agree",
        |ctx| refuses_host(ctx, "Host: suite\r\nHost: suite\r\n"),
    ),
    case(
        "host_with_space",
        Must,
        "RFC 9112 §3.2",
        "A Host that is not a valid host is 400",
        |ctx| refuses_host(ctx, "Host: su ite\r\n"),
    ),
    case("host_with_slash", Must, "RFC 9112 §3.2", "A Host with a path is 400", |ctx| {
        refuses_host(ctx, "Host: suite/path\r\n")
    }),
    case(
        "host_with_user",
        Must,
        "RFC 9112 §3.2",
        "A Host with user information is 400",
        |ctx| refuses_host(ctx, "Host: me@suite\r\n"),
    ),
    case(
        "host_with_bad_port",
        Must,
        "RFC 9112 §3.2",
        "A Host whose port is not a number is 400",
        |ctx| refuses_host(ctx, "Host: suite:http\r\n"),
    ),
    case(
        "host_with_port",
        Must,
        "RFC 9110 §7.2",
        "A Host with a port is accepted",
        |ctx| takes_host(ctx, "suite:8080"),
    ),
    case(
        "host_ipv6",
        Must,
        "RFC 9110 §7.2",
        "A Host that is an IPv6 address is accepted",
        |ctx| takes_host(ctx, "[::1]:8080"),
    ),
    case(
        "host_ipv6_nonsense",
        Must,
        "RFC 9112 §3.2, RFC 3986 §3.2.2",
        "A Host in brackets that is not an IP address is 400",
        |ctx| {
            let bad = [
                "[12345]",
                "[]",
                "[::1",
                "[:::1]",
                "[1:2:3:4:5:6:7:8:9]",
                "[1.2.3.4]",
                "[::ffff:1.2.3.256]",
                "[::1]8080",
                "[v1]",
                "[v.x]",
                "[v1.]",
                "[vg.x]",
                "[v1.%41]",
            ];
            bad.into_iter()
                .try_for_each(|host| refuses_host(ctx, &format!("Host: {host}\r\n")))
        },
    ),
    case(
        "host_ipv6_forms",
        Must,
        "RFC 3986 §3.2.2",
        "A Host that is an IPv6 address in any form is accepted",
        |ctx| {
            let good = [
                "[1:2:3:4:5:6:7:8]",
                "[::]",
                "[1::]:80",
                "[::ffff:1.2.3.4]",
                "[FE80::A]:",
            ];
            good.into_iter().try_for_each(|host| takes_host(ctx, host))
        },
    ),
    case(
        "host_ip_future",
        Must,
        "RFC 3986 §3.2.2",
        "A Host that is an IPvFuture address is accepted",
        |ctx| {
            ["[v1.x]", "[vF.a:b-c!]:80"]
                .into_iter()
                .try_for_each(|host| takes_host(ctx, host))
        },
    ),
    case(
        "host_bad_percent",
        Must,
        "RFC 9112 §3.2, RFC 3986 §2.1",
        "A percent sign in a Host without two hex digits is 400",
        |ctx| {
            let bad = ["%zz", "suite%4", "%", "%41%4g:80"];
            bad.into_iter()
                .try_for_each(|host| refuses_host(ctx, &format!("Host: {host}\r\n")))
        },
    ),
    case(
        "host_percent",
        Must,
        "RFC 3986 §3.2.2",
        "A Host with percent-encoded bytes is accepted",
        |ctx| takes_host(ctx, "gr%C3%BCn.suite:80"),
    ),
    case(
        "http_1_0_without_host",
        Must,
        "RFC 9112 §3.2",
        "HTTP/1.0 does not require Host",
        |ctx| {
            ctx.ask("GET /plaintext HTTP/1.0\r\n\r\n")?
                .is(200)?
                .has_content("Hello, World!")
                .map(drop)
        },
    ),
    case(
        "space_before_colon",
        Must,
        "RFC 9112 §5.1",
        "A space between name and colon is 400",
        |ctx| refuses(ctx, b"X-Thing : 1"),
    ),
    case(
        "tab_before_colon",
        Must,
        "RFC 9112 §5.1",
        "A tab between name and colon is 400",
        |ctx| refuses(ctx, b"X-Thing\t: 1"),
    ),
    case("folded_line", Must, "RFC 9112 §5.2", "A folded line is refused", |ctx| {
        refuses_or_repairs(ctx, b"X-Thing: 1\r\n 2")
    }),
    case(
        "space_before_first_field",
        Must,
        "RFC 9112 §2.2",
        "White space before the first field is refused, not skipped",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1\r\n Host: suite\r\n\r\n", 400),
    ),
    case(
        "no_colon",
        Contract,
        "RFC 9112 §5",
        "A field without a colon is refused",
        |ctx| refuses(ctx, b"X-Thing 1"),
    ),
    case(
        "empty_name",
        Contract,
        "RFC 9112 §5",
        "A field without a name is refused",
        |ctx| refuses(ctx, b": 1"),
    ),
    case(
        "name_is_no_token",
        Contract,
        "RFC 9110 §5.1",
        "A field name with a parenthesis is refused",
        |ctx| refuses(ctx, b"X(Thing): 1"),
    ),
    case(
        "nul_in_value",
        Must,
        "RFC 9110 §5.5",
        "A NUL byte in a value is refused",
        |ctx| refuses_or_repairs(ctx, b"X-Thing: a\0b"),
    ),
    case(
        "bare_cr_in_value",
        Must,
        "RFC 9110 §5.5",
        "A CR alone within a value is refused",
        |ctx| refuses_or_repairs(ctx, b"X-Thing: a\rX-Other: b"),
    ),
    case(
        "lf_alone",
        Contract,
        "RFC 9112 §11.2",
        "A field that ends with LF alone is refused: servers disagree about where it ends",
        |ctx| refuses(ctx, b"X-Thing: a\nX-Other: b"),
    ),
    case(
        "lf_alone_at_end",
        Contract,
        "RFC 9112 §11.2",
        "An empty line of LF alone does not end a head: refused",
        |ctx| ctx.assert_refused("GET /plaintext HTTP/1.1\r\nHost: suite\r\n\n", 400),
    ),
    case(
        "high_bytes_in_value",
        Must,
        "RFC 9110 §5.5",
        "Bytes above 127 in a value are opaque, and accepted",
        |ctx| takes(ctx, b"X-Thing: gr\xfcn \xe2\x82\xac"),
    )
    .needs(&[Need::Plaintext]),
    case(
        "white_space_around_value",
        Must,
        "RFC 9112 §5.1",
        "White space around a value is not part of it",
        |ctx| {
            ctx.ask("GET /plaintext HTTP/1.1\r\nHost: \t suite \t\r\nConnection:close\r\n\r\n")?
                .is(200)
                .map(drop)
        },
    ),
    case("empty_value", Must, "RFC 9110 §5.5", "A value may be empty", |ctx| {
        takes(ctx, b"X-Thing:")
    })
    .needs(&[Need::Plaintext]),
    case(
        "names_ignore_case",
        Must,
        "RFC 9110 §5.1",
        "Field names are case-insensitive",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(
                "GET /plaintext HTTP/1.1\r\nhOsT: suite\r\ncOnNeCtIoN: close\r\n\r\n",
            )?;
            client.response()?.is(200)?;
            client.assert_closed()
        },
    ),
    case(
        "every_token_character",
        Must,
        "RFC 9110 §5.6.2",
        "A field name may have every character that a token may have",
        |ctx| takes(ctx, b"X!#$%&'*+-.^_`|~09: 1"),
    )
    .needs(&[Need::Plaintext]),
    case("complete_200", Must, "RFC 9110 §6.6.1", "200 has Date and a length", |ctx| {
        complete(ctx, &get_and_close("/plaintext"), 200)
    }),
    case("complete_404", Must, "RFC 9110 §6.6.1", "404 has Date and a length", |ctx| {
        complete(ctx, &get_and_close("/there-is-no-such-thing"), 404)
    }),
    case("complete_405", Must, "RFC 9110 §6.6.1", "405 has Date and a length", |ctx| {
        complete(ctx, &request("DELETE", "/plaintext", "Connection: close\r\n"), 405)
    }),
    case("complete_400", Must, "RFC 9110 §6.6.1", "400 has Date and a length", |ctx| {
        complete(ctx, b"nonsense\r\n\r\n", 400)
    }),
    case(
        "refusals_explain",
        Contract,
        "RFC 9110 §15.5",
        "A refusal has a plain text content that gives the reason",
        |ctx| {
            for bytes in [&b"nonsense\r\n\r\n"[..], &get_and_close("/no-such-thing")] {
                let answer = ctx.ask(bytes)?;
                let kind = answer.field("Content-Type").unwrap_or_default();
                ensure(kind.starts_with("text/plain"), "Content-Type: text/plain", kind)?;
                let text = answer.text();
                ensure(
                    text.contains(&answer.status.to_string()) && text.ends_with('\n'),
                    "a text with the status and the reason",
                    text,
                )?;
            }
            Ok(())
        },
    ),
    case(
        "answer_has_no_request_bytes",
        Security,
        "RFC 9112 §11.1",
        "The head of a response never repeats bytes of the request (response splitting)",
        |ctx| {
            let answer = ctx.get("/no%0d%0aX-Injected:%20yes")?;
            if !ctx.lenient {
                answer.is(404)?;
            }
            answer.lacks("X-Injected")
        },
    ),
];
