//! Which file a target names: directories, encoded characters, what is not there.

use super::{NEED, is_file};
use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, case};
use crate::ctx::get;
use crate::verdict::demand;

pub(super) const CASES: &[Case] = &[
    case(
        "directory_redirects",
        Contract,
        "RFC 9110 §15.4.2",
        "A directory without its slash is 301 to the name with it",
        |ctx| {
            let answer = ctx.answers(get("/sub"), 301)?;
            let to = answer.field("Location").unwrap_or_default();
            demand(to == "/sub/" || to.ends_with("://suite/sub/"), "Location: /sub/", to)
        },
    )
    .needs(NEED),
    case(
        "directory_redirect_keeps_query",
        Contract,
        "contract, Files",
        "The redirect keeps the query",
        |ctx| {
            let answer = ctx.get("/sub?a=b%20c")?;
            let to = answer.is(301)?.field("Location").unwrap_or_default();
            demand(
                to == "/sub/?a=b%20c" || to.ends_with("://suite/sub/?a=b%20c"),
                "Location: /sub/?a=b%20c",
                to,
            )
        },
    )
    .needs(NEED),
    case(
        "directory_without_index",
        Contract,
        "contract, Files",
        "A directory without index.html is 404: no listing",
        |ctx| {
            let answer = ctx.get("/no-index/")?;
            answer.is(404)?;
            demand(!answer.text().contains("file.txt"), "no listing", answer.text())
        },
    )
    .needs(NEED),
    case("missing", Must, "RFC 9110 §15.5.5", "What is not there is 404", |ctx| {
        ctx.answers(get("/there-is-no-such-file.txt"), 404).map(drop)
    })
    .needs(NEED),
    case("space_in_name", Must, "RFC 3986 §2.1", "%20 in a name is a space", |ctx| {
        is_file(ctx, "/with%20space.txt", "with space.txt")
    })
    .needs(NEED),
    case(
        "percent_in_name",
        Must,
        "RFC 3986 §2.1",
        "%25 in a name is a percent sign",
        |ctx| is_file(ctx, "/per%25cent.txt", "per%cent.txt"),
    )
    .needs(NEED),
    case(
        "decoded_once",
        Security,
        "RFC 3986 §2.4",
        "A name is decoded once: %2541 is %41, not A",
        |ctx| is_file(ctx, "/%2541.txt", "%41.txt"),
    )
    .needs(NEED),
    case("unreserved_encoded", Must, "RFC 3986 §2.3", "%68 is the same as h", |ctx| {
        is_file(ctx, "/%68ello.txt", "hello.txt")
    })
    .needs(NEED),
    case("plus_is_plus", Must, "RFC 3986 §3.3", "A plus in a path is a plus", |ctx| {
        is_file(ctx, "/plus+plus.txt", "plus+plus.txt")
    })
    .needs(NEED),
    case(
        "utf8_in_name",
        Must,
        "RFC 3986 §2.5",
        "A name in UTF-8 is found by its encoded bytes",
        |ctx| is_file(ctx, "/gr%C3%BCn.txt", "gr\u{fc}n.txt"),
    )
    .needs(NEED),
    case(
        "query_ignored",
        Contract,
        "contract, Routes",
        "A file's query is ignored",
        |ctx| is_file(ctx, "/hello.txt?v=1&x=%zz", "hello.txt"),
    )
    .needs(NEED),
];
