//! Range requests, which ask for a part of a file.

use crate::case::Kind::{Contract, Must};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, request};
use crate::fixture::{content, large, pattern};
use crate::response::Response;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

const NEED: &[Need] = &[Need::Files, Need::Plaintext];

/// Requests `/ten.txt` with `fields`, and asserts that the connection stays open.
fn ask(ctx: &mut Ctx<'_>, fields: &str) -> CaseResult<Response> {
    let mut client = ctx.client()?;
    let head = request("GET", "/ten.txt", &format!("{fields}\r\n"));
    client.send([head, get("/plaintext")].concat())?;
    let answer = client.response()?;
    client.response()?.is(200)?.has_content("Hello, World!")?;
    Ok(answer)
}

/// Asserts that `range` is answered with 206, the bytes of `/ten.txt` at the offsets `places`, and
/// the Content-Range `place`.
fn part(ctx: &mut Ctx<'_>, range: &str, places: &str, place: &str) -> Verdict {
    let answer = ask(ctx, &format!("Range: {range}"))?;
    partial(ctx, &answer)?
        .has_content(ten(places))?
        .has("Content-Range", &format!("bytes {place}/10"))
        .map(drop)
}

/// Asserts that the status is 206, and returns the response. If the server is judged by the
/// standards alone and ignores Range, skips the case (RFC 9110 section 14.2).
fn partial<'r>(ctx: &Ctx<'_>, answer: &'r Response) -> CaseResult<&'r Response> {
    if ctx.standards && answer.status == 200 {
        return Err(Abort::skip("the server ignores Range, which is optional"));
    }
    answer.is(206)
}

/// Asserts that `range` is ignored: the response is 200 with the whole file.
fn ignored(ctx: &mut Ctx<'_>, range: &str) -> Verdict {
    let answer = ask(ctx, &format!("Range: {range}"))?;
    answer.is(200)?.has_content(ten("0123456789"))?.lacks("Content-Range")
}

/// Asserts that `range` is answered with 416, because it cannot be satisfied.
fn unsatisfiable(ctx: &mut Ctx<'_>, range: &str) -> Verdict {
    ask(ctx, &format!("Range: {range}"))?
        .is(416)?
        .has("Content-Range", "bytes */10")
        .map(drop)
}

/// Returns the validator `name` (ETag or Last-Modified) that the server sends with `/ten.txt`.
fn validator(ctx: &mut Ctx<'_>, name: &str) -> CaseResult<String> {
    let answer = ctx.get("/ten.txt")?;
    let value = answer.is(200)?.field(name).unwrap_or_default().to_owned();
    if ctx.standards && value.is_empty() {
        return Err(Abort::skip(format!("the server sends no {name} with a file")));
    }
    ensure(
        !value.is_empty(),
        format!("{name} in the response with a file"),
        format!("no {name}"),
    )?;
    Ok(value)
}

/// Returns the bytes of `/ten.txt` whose offsets are the digits in `places`. The file's content is
/// 0123456789, or, if the suite runs with a seed, which varies the files, ten different letters.
fn ten(places: &str) -> Vec<u8> {
    let ten = content("ten.txt");
    places.bytes().map(|place| ten[usize::from(place - b'0')]).collect()
}

pub(super) const CASES: &[Case] = &[
    case(
        "first_three",
        Contract,
        "RFC 9110 §14.1.2",
        "bytes=0-2 is 206 with the first three bytes",
        |ctx| part(ctx, "bytes=0-2", "012", "0-2"),
    )
    .needs(NEED),
    case("from_a_place", Contract, "RFC 9110 §14.1.2", "bytes=7- is 206 with everything from byte 7", |ctx| {
        part(ctx, "bytes=7-", "789", "7-9")
    })
    .needs(NEED),
    case(
        "last_three",
        Contract,
        "RFC 9110 §14.1.2",
        "bytes=-3 is 206 with the last three bytes",
        |ctx| part(ctx, "bytes=-3", "789", "7-9"),
    )
    .needs(NEED),
    case("one_byte", Contract, "RFC 9110 §14.1.2", "bytes=0-0 is 206 with one byte", |ctx| {
        part(ctx, "bytes=0-0", "0", "0-0")
    })
    .needs(NEED),
    case(
        "last_byte",
        Contract,
        "RFC 9110 §14.1.2",
        "bytes=9-9 is 206 with the last byte",
        |ctx| part(ctx, "bytes=9-9", "9", "9-9"),
    )
    .needs(NEED),
    case("all", Contract, "RFC 9110 §14.1.2", "bytes=0- is 206 with the whole file", |ctx| {
        part(ctx, "bytes=0-", "0123456789", "0-9")
    })
    .needs(NEED),
    case(
        "beyond_the_end",
        Must,
        "RFC 9110 §14.1.2",
        "A range that ends beyond the file is 206 up to its end",
        |ctx| part(ctx, "bytes=5-1000", "56789", "5-9"),
    )
    .needs(NEED),
    case(
        "long_suffix",
        Must,
        "RFC 9110 §14.1.2",
        "A suffix longer than the file is 206 with the whole file",
        |ctx| part(ctx, "bytes=-1000", "0123456789", "0-9"),
    )
    .needs(NEED),
    case(
        "unit_ignores_case",
        Must,
        "RFC 9110 §14.1",
        "The name of the range unit is case-insensitive",
        |ctx| part(ctx, "Bytes=0-2", "012", "0-2"),
    )
    .needs(NEED),
    case(
        "behind_the_end",
        Contract,
        "RFC 9110 §15.5.17",
        "A range that begins at the end of the file is 416 with the file's length",
        |ctx| unsatisfiable(ctx, "bytes=10-"),
    )
    .needs(NEED),
    case("far_behind_the_end", Contract, "RFC 9110 §15.5.17", "A range that begins far beyond the end of the file is 416", |ctx| {
        unsatisfiable(ctx, "bytes=1000-2000")
    })
    .needs(NEED),
    case(
        "empty_suffix",
        Contract,
        "RFC 9110 §14.1.2",
        "bytes=-0 is 416",
        |ctx| unsatisfiable(ctx, "bytes=-0"),
    )
    .needs(NEED),
    case(
        "of_an_empty_file",
        Contract,
        "RFC 9110 §15.5.17",
        "Any range of an empty file is 416",
        |ctx| {
            let head =
                request("GET", "/empty.txt", "Range: bytes=0-\r\nConnection: close\r\n");
            ctx.ask(head)?.is(416)?.has("Content-Range", "bytes */0").map(drop)
        },
    )
    .needs(NEED),
    case("several", Contract, "RFC 9110 §14.2", "Several ranges are ignored", |ctx| {
        ignored(ctx, "bytes=0-1,4-5")
    })
    .needs(NEED),
    case("other_unit", Must, "RFC 9110 §14.2", "A range with an unknown unit is ignored", |ctx| {
        ignored(ctx, "lines=0-1")
    })
    .needs(NEED),
    case("letters", Contract, "RFC 9110 §14.2", "A range of letters is ignored", |ctx| {
        ignored(ctx, "bytes=a-b")
    })
    .needs(NEED),
    case(
        "backwards",
        Contract,
        "RFC 9110 §14.1.1",
        "A range that ends before it begins is ignored",
        |ctx| ignored(ctx, "bytes=5-2"),
    )
    .needs(NEED),
    case("only_a_dash", Contract, "RFC 9110 §14.1.1", "bytes=- is ignored", |ctx| {
        ignored(ctx, "bytes=-")
    })
    .needs(NEED),
    case("signs", Contract, "RFC 9110 §14.1.1", "bytes=+1-+2 is ignored", |ctx| {
        ignored(ctx, "bytes=+1-+2")
    })
    .needs(NEED),
    case(
        "overflow",
        Contract,
        "RFC 9110 §14.1.2",
        "A range that ends at a number of thirty digits is 206 or ignored, never an error",
        |ctx| {
            let answer = ask(ctx, "Range: bytes=0-999999999999999999999999999999")?;
            answer.one_of(&[200, 206])?.has_content(ten("0123456789")).map(drop)
        },
    )
    .needs(NEED),
    case(
        "head",
        Must,
        "RFC 9110 §14.2",
        "Range is defined for GET only: HEAD ignores it",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/ten.txt", "Range: bytes=0-2\r\n"))?;
            client.response_to("HEAD")?.is(200)?.has("Content-Length", "10").map(drop)
        },
    )
    .needs(NEED),
    case(
        "if_range_same",
        Must,
        "RFC 9110 §13.1.5",
        "Range and If-Range with the file's ETag is 206",
        |ctx| {
            let tag = validator(ctx, "ETag")?;
            let answer = ask(ctx, &format!("Range: bytes=0-2\r\nIf-Range: {tag}"))?;
            partial(ctx, &answer)?.has_content(ten("012")).map(drop)
        },
    )
    .needs(NEED),
    case(
        "if_range_other",
        Must,
        "RFC 9110 §13.1.5",
        "Range and If-Range with another ETag is 200 with the whole file",
        |ctx| {
            ask(ctx, "Range: bytes=0-2\r\nIf-Range: \"other\"")?
                .is(200)?
                .has_content(ten("0123456789"))
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "if_range_weak",
        Must,
        "RFC 9110 §13.1.5",
        "Range and If-Range with a weak ETag is 200 with the whole file",
        |ctx| {
            let tag = validator(ctx, "ETag")?;
            ask(ctx, &format!("Range: bytes=0-2\r\nIf-Range: W/{tag}"))?
                .is(200)?
                .has_content(ten("0123456789"))
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "if_range_old_date",
        Must,
        "RFC 9110 §13.1.5",
        "Range and If-Range with another date is 200 with the whole file",
        |ctx| {
            ask(ctx, "Range: bytes=0-2\r\nIf-Range: Sat, 01 Jan 2000 00:00:00 GMT")?
                .is(200)?
                .has_content(ten("0123456789"))
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "if_range_without_range",
        Must,
        "RFC 9110 §13.1.5",
        "If-Range without Range is ignored",
        |ctx| {
            ask(ctx, "If-Range: \"other\"")?.is(200)?.has_content(ten("0123456789")).map(drop)
        },
    )
    .needs(NEED),
    case(
        "none_match_beats_range",
        Must,
        "RFC 9110 §13.2.2",
        "If-None-Match is evaluated before Range: 304",
        |ctx| {
            let tag = validator(ctx, "ETag")?;
            ask(ctx, &format!("Range: bytes=0-2\r\nIf-None-Match: {tag}"))?
                .is(304)
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "of_404",
        Must,
        "RFC 9110 §14.2",
        "A range of a missing file is 404",
        |ctx| {
            let head = request(
                "GET",
                "/there-is-no-such-thing",
                "Range: bytes=0-2\r\nConnection: close\r\n",
            );
            ctx.ask(head)?.is(404).map(drop)
        },
    )
    .needs(NEED),
    case(
        "large",
        Must,
        "RFC 9110 §15.3.7",
        "A range of two megabytes in the middle of a file is exactly those bytes",
        |ctx| {
            let (from, to) = (500_001, 2_500_000);
            let mut client = ctx.small_client()?;
            client.send(request(
                "GET",
                "/large.bin",
                &format!("Range: bytes={from}-{to}\r\n"),
            ))?;
            let answer = client.response()?;
            partial(ctx, &answer)?
                .has("Content-Range", &format!("bytes {from}-{to}/{}", large()))?;
            answer.has_content(&pattern(large())[from..=to]).map(drop)
        },
    )
    .needs(NEED),
    case(
        "put_together",
        Must,
        "RFC 9110 §15.3.7",
        "Consecutive ranges joined are the file",
        |ctx| {
            let mut all = Vec::new();
            let mut client = ctx.client()?;
            for from in [0, 4, 8] {
                client.send(request(
                    "GET",
                    "/ten.txt",
                    &format!("Range: bytes={from}-{}\r\n", from + 3),
                ))?;
                let answer = client.response()?;
                all.extend_from_slice(&partial(ctx, &answer)?.content);
            }
            let ten = ten("0123456789");
            ensure(all == ten, String::from_utf8_lossy(&ten), String::from_utf8_lossy(&all))
        },
    )
    .needs(NEED),
];
