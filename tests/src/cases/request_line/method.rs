//! The method of a request: unknown methods, and methods that a route does not allow.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, request};
use crate::verdict::{Verdict, ensure};

/// Asserts that `/plaintext` answers this method with 405, and lists the allowed methods in the
/// field Allow.
fn lacks_method(
    ctx: &mut Ctx<'_>,
    method: &str,
    fields: &str,
    allowed: &[&str],
) -> Verdict {
    let bytes = request(method, "/plaintext", fields);
    if ctx.standards && ctx.ask(&bytes)?.status == 501 {
        // A server without any support for the method may send 501 (RFC 9110 section 9.1).
        return Ok(());
    }
    let answer = ctx.assert_answered(bytes, 405)?;
    allowed.iter().try_for_each(|name| answer.list_has("Allow", name).map(drop))
}

pub(super) const CASES: &[Case] = &[
    case(
        "unknown_method",
        Should,
        "RFC 9110 §9.1",
        "An unknown method is 501, and the connection stays open",
        |ctx| ctx.assert_answered(request("BREW", "/plaintext", ""), 501).map(drop),
    )
    .needs(&[Need::Plaintext]),
    case(
        "lower_case_method",
        Should,
        "RFC 9110 §9.1",
        "Methods are case-sensitive: `get` is not GET",
        |ctx| ctx.assert_answered(request("get", "/plaintext", ""), 501).map(drop),
    )
    .needs(&[Need::Plaintext]),
    case(
        "method_is_no_token",
        Should,
        "RFC 9110 §9.1",
        "A method with a character that a token must not have is refused",
        |ctx| {
            let statuses = ctx.either(&[400], &[400, 501]);
            ctx.assert_refused_with(request("G@T", "/plaintext", ""), statuses)
        },
    ),
    case(
        "connect",
        Contract,
        "RFC 9110 §9.3.6",
        "CONNECT is 501 and closes, because the server is not a proxy",
        |ctx| {
            ctx.assert_refused(
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
        "TRACE is 405, because it could reveal credentials",
        |ctx| {
            let answer = ctx.assert_answered(
                request("TRACE", "/plaintext", "Cookie: tell-nobody\r\n"),
                405,
            )?;
            ensure(
                !answer.text().contains("tell-nobody"),
                "a response that repeats no field of the request",
                answer.text(),
            )
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "options_star",
        Contract,
        "RFC 9110 §9.3.7",
        "OPTIONS * is 204 with Allow",
        |ctx| {
            let answer = ctx.assert_answered(request("OPTIONS", "*", ""), 204)?;
            answer.list_has("Allow", "GET").map(drop)
        },
    )
    .needs(&[Need::Plaintext]),
];
