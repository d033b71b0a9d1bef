//! The method: which are known, and which a route lacks.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, request};
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
];
