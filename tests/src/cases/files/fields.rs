//! The fields that describe a file: Content-Type, Last-Modified, ETag.

use super::NEED;
use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, case};
use crate::ctx::Ctx;
use crate::fixture::{content, variant};
use crate::verdict::{Abort, Verdict, ensure};

/// Asserts that the target's Content-Type begins with `wanted`.
fn has_type(ctx: &mut Ctx<'_>, target: &str, wanted: &str) -> Verdict {
    let answer = ctx.get(target)?;
    let kind =
        answer.is(200)?.field("Content-Type").unwrap_or_default().to_ascii_lowercase();
    ensure(
        kind.replace(' ', "").starts_with(wanted),
        format!("Content-Type: {wanted}"),
        kind,
    )
}

/// Returns whether `tag` is a strong entity tag: quoted, without `W/`.
fn is_tag(tag: &str) -> bool {
    tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
}

pub(super) const CASES: &[Case] = &[
    case(
        "type_html",
        Contract,
        "RFC 9110 §8.3",
        "HTML is text/html with a charset",
        |ctx| has_type(ctx, "/", "text/html;charset=utf-8"),
    )
    .needs(NEED),
    case(
        "type_text",
        Contract,
        "RFC 9110 §8.3",
        "Text is text/plain with a charset",
        |ctx| has_type(ctx, "/hello.txt", "text/plain;charset=utf-8"),
    )
    .needs(NEED),
    case("type_css", Should, "RFC 9110 §8.3", "CSS is text/css", |ctx| {
        has_type(ctx, "/style.css", "text/css")
    })
    .needs(NEED),
    case("type_script", Should, "RFC 9239 §6", "JavaScript is text/javascript", |ctx| {
        has_type(ctx, "/script.js", "text/javascript")
            .or_else(|_| has_type(ctx, "/script.js", "application/javascript"))
    })
    .needs(NEED),
    case("type_json", Should, "RFC 8259 §11", "JSON is application/json", |ctx| {
        has_type(ctx, "/data.json", "application/json")
    })
    .needs(NEED),
    case("type_svg", Should, "RFC 9110 §8.3", "SVG is image/svg+xml", |ctx| {
        has_type(ctx, "/picture.svg", "image/svg+xml")
    })
    .needs(NEED),
    case("type_png", Should, "RFC 9110 §8.3", "PNG is image/png", |ctx| {
        has_type(ctx, "/dot.png", "image/png")
    })
    .needs(NEED),
    case(
        "validators",
        Should,
        "RFC 9110 §8.8",
        "A file has Last-Modified and a strong ETag, the same each time",
        |ctx| {
            let (one, two) = (ctx.get("/hello.txt")?, ctx.get("/hello.txt")?);
            let tag = one.is(200)?.field("ETag").unwrap_or_default().to_owned();
            ensure(
                is_tag(&tag)
                    || ctx.standards && tag.strip_prefix("W/").is_some_and(is_tag),
                "a strong ETag in quotes",
                if tag.is_empty() { "no ETag field" } else { &tag },
            )?;
            two.has("ETag", &tag)?;
            let date = one.field("Last-Modified").unwrap_or_default();
            ensure(
                httpdate::parse_http_date(date).is_ok(),
                "a valid date in Last-Modified",
                if date.is_empty() { "no Last-Modified field" } else { date },
            )
        },
    )
    .needs(NEED),
    case(
        "last_modified_is_true",
        Should,
        "RFC 9110 §8.8.2",
        "Last-Modified is the file's modification time, in whole seconds",
        |ctx| {
            if !ctx.target.has_root() {
                return Err(Abort::skip(
                    "the suite cannot examine the files of a server that is already running",
                ));
            }
            let path = ctx.root.join(variant().name("hello.txt"));
            let time = std::fs::metadata(path).and_then(|meta| meta.modified());
            let time = time.map_err(|error| Abort::skip(format!("cannot read the modification time: {error}")))?;
            ctx.get("/hello.txt")?
                .is(200)?
                .has("Last-Modified", &httpdate::fmt_http_date(time))
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "file_from_before_1970",
        Must,
        "RFC 9110 §8.8.2",
        "A file whose modification time is before 1970 is served like any other",
        |ctx| {
            ctx.get("/old.txt")?.is(200)?.has_content(content("old.txt"))?;
            ctx.get("/hello.txt")?.is(200).map(drop)
        },
    )
    .needs(NEED),
    case(
        "last_modified_before_1970",
        Should,
        "RFC 9110 §8.8.2",
        "The Last-Modified of a file from before 1970 is its modification time",
        |ctx| {
            ctx.get("/old.txt")?
                .is(200)?
                .has("Last-Modified", "Fri, 06 Jan 1950 00:00:00 GMT")
                .map(drop)
        },
    )
    .needs(NEED),
    case(
        "accept_ranges",
        Contract,
        "RFC 9110 §14.3",
        "A response with a file has Accept-Ranges: bytes",
        |ctx| {
            ctx.get("/hello.txt")?.is(200)?.list_has("Accept-Ranges", "bytes").map(drop)
        },
    )
    .needs(NEED),
];
