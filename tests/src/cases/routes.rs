//! The contract's routes: `/plaintext`, `/sleep/MS`, `/bytes/N`, `/echo`, `/stats`.

use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::{Ctx, counter_in, get, request};
use crate::fixture::generated;
use crate::verdict::{Verdict, ensure};

/// Asserts that a target with an invalid number is answered 400 and the connection stays open.
fn bad(ctx: &mut Ctx<'_>, target: &str) -> Verdict {
    ctx.assert_answered(get(target), 400).map(drop)
}

const SLEEP: &[Need] = &[Need::Sleep, Need::Plaintext];
const BYTES: &[Need] = &[Need::Bytes, Need::Plaintext];

pub(super) const CASES: &[Case] = &[
    case(
        "plaintext",
        Contract,
        "contract, Routes",
        "/plaintext is answered with 13 bytes of text/plain",
        |ctx| {
            let answer = ctx.get("/plaintext")?;
            let kind = answer
                .is(200)?
                .has("Content-Length", "13")?
                .field("Content-Type")
                .unwrap_or_default();
            ensure(kind.starts_with("text/plain"), "text/plain", kind)
        },
    ),
    case(
        "percent_encoded",
        Must,
        "RFC 3986 §6.2.2.2, RFC 9110 §4.2.3",
        "Percent-encoding unreserved characters does not change the route",
        |ctx| {
            ctx.get("/%70l%61intex%74?a")?.is(200)?.has_content("Hello, World!")?;
            ctx.get("http://suite/%70laintext")?.is(200)?.has_content("Hello, World!")?;
            ctx.ask(request("OPTIONS", "/%65cho", ""))?.is(204)?.list_has("Allow", "POST").map(drop)
        },
    )
    .needs(&[Need::Echo]),
    case(
        "percent_encoded_number",
        Must,
        "RFC 3986 §6.2.2.2",
        "Percent-encoding digits does not change a number in a route",
        |ctx| ctx.get("/b%79tes/1%30")?.is(200)?.has_content(generated(10)).map(drop),
    )
    .needs(BYTES),
    case(
        "percent_encoded_slash",
        Security,
        "RFC 3986 §2.2",
        "A percent-encoded slash is not a separator, and a path is decoded once: /bytes%2F10 and /%2570laintext are 404",
        |ctx| {
            ctx.get("/bytes%2F10")?.is(404)?;
            ctx.get("/bytes%2f10")?.is(404)?;
            ctx.get("/%2570laintext")?.is(404)?;
            ctx.get("/%%37%30laintext")?.one_of(&[400, 404]).map(drop)
        },
    )
    .needs(BYTES),
    case("sleep", Contract, "contract, Routes", "/sleep/20 tells that it slept", |ctx| {
        ctx.get("/sleep/20")?.is(200)?.has_content("slept 20 ms\n").map(drop)
    })
    .needs(SLEEP),
    case(
        "sleep_head",
        Contract,
        "RFC 9110 §9.3.2",
        "The response to HEAD of /sleep/MS has the length of GET's response",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/sleep/20", ""))?;
            client.response_to("HEAD")?.is(200)?.has("Content-Length", "12").map(drop)
        },
    )
    .needs(SLEEP),
    case("sleep_too_long", Contract, "contract, Routes", "/sleep/60001 is 400", |ctx| {
        bad(ctx, "/sleep/60001")
    })
    .needs(SLEEP),
    case("sleep_nothing", Contract, "contract, Routes", "/sleep/ is 400", |ctx| {
        bad(ctx, "/sleep/")
    })
    .needs(SLEEP),
    case("sleep_word", Contract, "contract, Routes", "/sleep/soon is 400", |ctx| {
        bad(ctx, "/sleep/soon")
    })
    .needs(SLEEP),
    case("sleep_negative", Security, "contract, Routes", "/sleep/-1 is 400", |ctx| {
        bad(ctx, "/sleep/-1")
    })
    .needs(SLEEP),
    case(
        "sleep_overflow",
        Security,
        "contract, Routes",
        "/sleep/ with twenty-five digits is 400",
        |ctx| bad(ctx, "/sleep/9999999999999999999999999"),
    )
    .needs(SLEEP),
    case(
        "sleep_post",
        Contract,
        "RFC 9110 §15.5.6",
        "POST to /sleep/MS is 405, without sleeping",
        |ctx| {
            ctx.assert_answered(
                request("POST", "/sleep/60000", "Content-Length: 0\r\n"),
                405,
            )?
            .list_has("Allow", "GET")
            .map(drop)
        },
    )
    .needs(SLEEP),
    case(
        "bytes",
        Contract,
        "contract, Routes",
        "/bytes/N is answered with N bytes of a repeated line",
        |ctx| {
            for n in [0, 1, 63, 64, 65, 1000, 65_536, 100_001] {
                ctx.get(&format!("/bytes/{n}"))?.is(200)?.has_content(generated(n))?;
            }
            Ok(())
        },
    )
    .needs(BYTES),
    case(
        "bytes_type",
        Contract,
        "contract, Routes",
        "/bytes/N is application/octet-stream",
        |ctx| {
            ctx.get("/bytes/9")?
                .is(200)?
                .has("Content-Type", "application/octet-stream")
                .map(drop)
        },
    )
    .needs(BYTES),
    case(
        "bytes_too_many",
        Security,
        "contract, Routes",
        "/bytes/1073741825 is 400",
        |ctx| bad(ctx, "/bytes/1073741825"),
    )
    .needs(BYTES),
    case("bytes_word", Contract, "contract, Routes", "/bytes/many is 400", |ctx| {
        bad(ctx, "/bytes/many")
    })
    .needs(BYTES),
    case(
        "bytes_with_sign",
        Security,
        "contract, Routes",
        "/bytes/+5 is 400: a number has digits only",
        |ctx| bad(ctx, "/bytes/+5"),
    )
    .needs(BYTES),
    case(
        "sleep_with_sign",
        Security,
        "contract, Routes",
        "/sleep/+5 is 400: a number has digits only",
        |ctx| bad(ctx, "/sleep/+5"),
    )
    .needs(SLEEP),
    case(
        "bytes_overflow",
        Security,
        "contract, Routes",
        "/bytes/ with twenty-five digits is 400",
        |ctx| bad(ctx, "/bytes/9999999999999999999999999"),
    )
    .needs(BYTES),
    case(
        "echo_type",
        Contract,
        "contract, Routes",
        "/echo is application/octet-stream, whatever the type of the request",
        |ctx| {
            let head = request(
                "POST",
                "/echo",
                "Content-Type: text/html\r\nContent-Length: 3\r\n",
            );
            let answer = ctx.ask([&head[..], b"<p>"].concat())?;
            answer.is(200)?.has("Content-Type", "application/octet-stream").map(drop)
        },
    )
    .needs(&[Need::Echo]),
    case(
        "stats",
        Contract,
        "contract, Routes",
        "/stats is one JSON object with every counter of the contract",
        |ctx| {
            let answer = ctx.get("/stats")?;
            let kind = answer.field("Content-Type").unwrap_or_default();
            ensure(kind.starts_with("application/json"), "application/json", kind)?;
            for name in ["accepted", "open", "requests", "refused", "timeouts", "panics"]
            {
                counter_in(&answer, name)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Stats]),
    case(
        "stats_count",
        Contract,
        "contract, Routes",
        "Ten requests on one connection are counted in `requests`",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/stats"))?;
            let before = client.response()?;
            client.send([get("/plaintext").repeat(10), get("/stats")].concat())?;
            for _ in 0..10 {
                client.response()?.is(200)?;
            }
            let after = client.response()?;
            let grown =
                counter_in(&after, "requests")? - counter_in(&before, "requests")?;
            // The server may count a request for /stats before or after it makes the response, so
            // the second response may or may not count one request more.
            ensure(
                (10..=11).contains(&grown),
                "10 more requests (11 with the first /stats)",
                format!("{grown} more"),
            )?;
            let accepted = counter_in(&after, "accepted")?;
            ensure(
                accepted == counter_in(&before, "accepted")?,
                "no new connection",
                format!("accepted: {accepted}"),
            )
        },
    )
    .needs(&[Need::Stats, Need::Process]),
    case(
        "stats_count_refusals",
        Contract,
        "contract, Routes",
        "A refusal is counted in `refused`",
        |ctx| {
            let before = ctx.counter("refused")?;
            ctx.assert_refused("nonsense\r\n\r\n", 400)?;
            ctx.poll_until("`refused` has grown by one", |ctx| {
                let now = ctx.counter("refused")?;
                Ok(if now == before + 1 {
                    Ok(())
                } else {
                    Err(format!("{before} before, {now} now"))
                })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process]),
    case(
        "stats_open",
        Contract,
        "contract, Routes",
        "`open` counts open connections, without those that have been closed",
        |ctx| {
            let held = hold(ctx, 5)?;
            let open = ctx.counter("open")?;
            ensure(
                open >= 6,
                "`open` is at least 6: five held connections, and the client that asks",
                open,
            )?;
            drop(held);
            ctx.poll_until_counter("open", 1)
        },
    )
    .needs(&[Need::Stats, Need::Process, Need::Many]),
    case(
        "options_on_a_file",
        Contract,
        "RFC 9110 §9.3.7",
        "OPTIONS on a file is 204 with GET and HEAD in Allow",
        |ctx| {
            let answer =
                ctx.assert_answered(request("OPTIONS", "/hello.txt", ""), 204)?;
            answer.list_has("Allow", "GET")?.list_has("Allow", "HEAD").map(drop)
        },
    )
    .needs(&[Need::Files, Need::Plaintext]),
    case(
        "post_to_a_file",
        Contract,
        "RFC 9110 §15.5.6",
        "POST to a file is 405 with GET and HEAD in Allow",
        |ctx| {
            let answer = ctx.assert_answered(
                request("POST", "/hello.txt", "Content-Length: 0\r\n"),
                405,
            )?;
            answer.list_has("Allow", "GET")?.list_has("Allow", "HEAD").map(drop)
        },
    )
    .needs(&[Need::Files, Need::Plaintext]),
];
