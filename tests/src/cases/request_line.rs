//! The first line of a request: method, target, version.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, get_and_close, request};
use crate::verdict::{Verdict, demand};

/// `/plaintext` has not this method: 405, and Allow says which it has.
fn lacks_method(
    ctx: &mut Ctx<'_>,
    method: &str,
    fields: &str,
    allowed: &[&str],
) -> Verdict {
    let bytes = request(method, "/plaintext", fields);
    if ctx.standards && ctx.ask(&bytes)?.status == 501 {
        // A server that knows the method nowhere says so (RFC 9110 section 9.1).
        return Ok(());
    }
    let answer = ctx.answers(bytes, 405)?;
    allowed.iter().try_for_each(|name| answer.names("Allow", name).map(drop))
}

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
    case(
        "unknown_method",
        Should,
        "RFC 9110 §9.1",
        "A method that nobody knows is 501, and the connection goes on",
        |ctx| ctx.answers(request("BREW", "/plaintext", ""), 501).map(drop),
    )
    .needs(&[Need::Plaintext]),
    case(
        "lower_case_method",
        Should,
        "RFC 9110 §9.1",
        "Methods are case-sensitive: `get` is not GET",
        |ctx| ctx.answers(request("get", "/plaintext", ""), 501).map(drop),
    )
    .needs(&[Need::Plaintext]),
    case(
        "method_is_no_token",
        Should,
        "RFC 9110 §9.1",
        "A method with a character that no token has is malformed",
        |ctx| {
            let statuses = ctx.either(&[400], &[400, 501]);
            ctx.refuses_with(request("G@T", "/plaintext", ""), statuses)
        },
    ),
    case(
        "connect",
        Contract,
        "RFC 9110 §9.3.6",
        "CONNECT is no proxy's business here: 501 and close",
        |ctx| {
            ctx.refuses(
                "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
                501,
            )
        },
    ),
    case(
        "put",
        Must,
        "RFC 9110 §15.5.6",
        "A known method that the route lacks is 405 with Allow",
        |ctx| lacks_method(ctx, "PUT", "Content-Length: 0\r\n", &["GET", "HEAD"]),
    )
    .needs(&[Need::Plaintext]),
    case(
        "delete",
        Must,
        "RFC 9110 §15.5.6",
        "A known method that the route lacks is 405 with Allow",
        |ctx| lacks_method(ctx, "DELETE", "", &["GET"]),
    )
    .needs(&[Need::Plaintext]),
    case(
        "patch",
        Must,
        "RFC 9110 §15.5.6",
        "A known method that the route lacks is 405 with Allow",
        |ctx| lacks_method(ctx, "PATCH", "Content-Length: 0\r\n", &["GET"]),
    )
    .needs(&[Need::Plaintext]),
    case(
        "trace",
        Security,
        "RFC 9110 §9.3.8",
        "TRACE would show what it must not: 405",
        |ctx| {
            let answer = ctx.answers(
                request("TRACE", "/plaintext", "Cookie: tell-nobody\r\n"),
                405,
            )?;
            demand(
                !answer.text().contains("tell-nobody"),
                "an answer that repeats no field",
                answer.text(),
            )
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "options_star",
        Contract,
        "RFC 9110 §9.3.7",
        "OPTIONS * asks about the server itself: 204 with Allow",
        |ctx| {
            let answer = ctx.answers(request("OPTIONS", "*", ""), 204)?;
            answer.names("Allow", "GET").map(drop)
        },
    )
    .needs(&[Need::Plaintext]),
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
        "tls_hello",
        Contract,
        "RFC 9112 §2.2",
        "A TLS handshake is refused in plain words, not left hanging",
        |ctx| ctx.refuses(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n", 400),
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
