//! The routes that make waiting visible.

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, request, stat_in};
use crate::fixture::generated;
use crate::verdict::{Verdict, demand};

/// A bad number is 400, and the connection goes on.
fn bad(ctx: &mut Ctx<'_>, target: &str) -> Verdict {
    ctx.answers(get(target), 400).map(drop)
}

const SLEEP: &[Need] = &[Need::Sleep, Need::Plaintext];
const BYTES: &[Need] = &[Need::Bytes, Need::Plaintext];

pub(super) const CASES: &[Case] = &[
    case(
        "plaintext",
        Contract,
        "contract, Routes",
        "/plaintext is 13 bytes of text/plain",
        |ctx| {
            let answer = ctx.get("/plaintext")?;
            let kind = answer
                .is(200)?
                .has("Content-Length", "13")?
                .field("Content-Type")
                .unwrap_or_default();
            demand(kind.starts_with("text/plain"), "text/plain", kind)
        },
    ),
    case("sleep", Contract, "contract, Routes", "/sleep/20 tells that it slept", |ctx| {
        ctx.get("/sleep/20")?.is(200)?.holds("slept 20 ms\n").map(drop)
    })
    .needs(SLEEP),
    case(
        "sleep_head",
        Contract,
        "RFC 9110 §9.3.2",
        "HEAD of /sleep/MS has the length of GET's answer",
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
        "POST to /sleep/MS is 405, at once",
        |ctx| {
            ctx.answers(request("POST", "/sleep/60000", "Content-Length: 0\r\n"), 405)?
                .names("Allow", "GET")
                .map(drop)
        },
    )
    .needs(SLEEP),
    case(
        "bytes",
        Contract,
        "contract, Routes",
        "/bytes/N is the line again and again, cut at N",
        |ctx| {
            for n in [0, 1, 63, 64, 65, 1000, 65_536, 100_001] {
                ctx.get(&format!("/bytes/{n}"))?.is(200)?.holds(generated(n))?;
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
        "/bytes/+5 is 400: a number is digits",
        |ctx| bad(ctx, "/bytes/+5"),
    )
    .needs(BYTES),
    case(
        "sleep_with_sign",
        Security,
        "contract, Routes",
        "/sleep/+5 is 400: a number is digits",
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
        "/echo is application/octet-stream, whatever came",
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
        "/stats is one JSON object with every promised counter",
        |ctx| {
            let answer = ctx.get("/stats")?;
            let kind = answer.field("Content-Type").unwrap_or_default();
            demand(kind.starts_with("application/json"), "application/json", kind)?;
            for name in ["accepted", "open", "requests", "refused", "timeouts", "panics"]
            {
                stat_in(&answer, name)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Stats]),
    case(
        "stats_count",
        Contract,
        "contract, Routes",
        "Ten requests on one connection are counted as ten",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/stats"))?;
            let before = client.response()?;
            client.send([get("/plaintext").repeat(10), get("/stats")].concat())?;
            for _ in 0..10 {
                client.response()?.is(200)?;
            }
            let after = client.response()?;
            let grown = stat_in(&after, "requests")? - stat_in(&before, "requests")?;
            // Whether /stats counts itself before or after it answers is its choice.
            demand(
                (10..=11).contains(&grown),
                "10 more requests (11 with the first /stats)",
                format!("{grown} more"),
            )?;
            let accepted = stat_in(&after, "accepted")?;
            demand(
                accepted == stat_in(&before, "accepted")?,
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
        "A refusal is counted as refused",
        |ctx| {
            let before = ctx.stat("refused")?;
            ctx.refuses("nonsense\r\n\r\n", 400)?;
            ctx.until("`refused` has grown by one", |ctx| {
                let now = ctx.stat("refused")?;
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
        "`open` counts the connections that are open, and no longer those that are gone",
        |ctx| {
            let mut held = Vec::new();
            for _ in 0..5 {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                held.push(client);
            }
            let open = ctx.stat("open")?;
            demand(open >= 6, "at least 6 open (5 held, and the one that asks)", open)?;
            drop(held);
            ctx.until("`open` is down to 1, the one that asks", |ctx| {
                let now = ctx.stat("open")?;
                Ok(if now == 1 { Ok(()) } else { Err(format!("open: {now}")) })
            })
        },
    )
    .needs(&[Need::Stats, Need::Process, Need::Many]),
    case(
        "options_on_a_file",
        Contract,
        "RFC 9110 §9.3.7",
        "OPTIONS on a file is 204 with GET and HEAD",
        |ctx| {
            let answer = ctx.answers(request("OPTIONS", "/hello.txt", ""), 204)?;
            answer.names("Allow", "GET")?.names("Allow", "HEAD").map(drop)
        },
    )
    .needs(&[Need::Files, Need::Plaintext]),
    case(
        "post_to_a_file",
        Contract,
        "RFC 9110 §15.5.6",
        "POST to a file is 405 with GET and HEAD",
        |ctx| {
            let answer =
                ctx.answers(request("POST", "/hello.txt", "Content-Length: 0\r\n"), 405)?;
            answer.names("Allow", "GET")?.names("Allow", "HEAD").map(drop)
        },
    )
    .needs(&[Need::Files, Need::Plaintext]),
];
