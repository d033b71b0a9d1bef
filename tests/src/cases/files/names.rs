//! How a target is mapped to a file: directories, encoded characters, missing files.

use super::{NEED, is_file};
use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, case};
use crate::ctx::get;
use crate::verdict::ensure;

pub(super) const CASES: &[Case] = &[
    case(
        "directory_redirects",
        Contract,
        "RFC 9110 §15.4.2",
        "A directory without the trailing slash is 301 to the path with it",
        |ctx| {
            let answer = ctx.assert_answered(get("/sub"), 301)?;
            let to = answer.field("Location").unwrap_or_default();
            ensure(to == "/sub/" || to.ends_with("://suite/sub/"), "Location: /sub/", to)
        },
    )
    .needs(NEED),
    case(
        "directory_redirect_keeps_query",
        Contract,
        "contract, Files",
        "The redirect of a directory keeps the query",
        |ctx| {
            let answer = ctx.get("/sub?a=b%20c")?;
            let to = answer.is(301)?.field("Location").unwrap_or_default();
            ensure(
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
        "A directory without index.html is 404 and is not listed",
        |ctx| {
            let answer = ctx.get("/no-index/")?;
            answer.is(404)?;
            ensure(
                !answer.text().contains("file.txt"),
                "no directory listing",
                answer.text(),
            )
        },
    )
    .needs(NEED),
    case("missing", Must, "RFC 9110 §15.5.5", "A missing file is 404", |ctx| {
        ctx.assert_answered(get("/there-is-no-such-file.txt"), 404).map(drop)
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
        "A file name in UTF-8 is found by its percent-encoded bytes",
        |ctx| is_file(ctx, "/gr%C3%BCn.txt", "gr\u{fc}n.txt"),
    )
    .needs(NEED),
    case(
        "query_ignored",
        Contract,
        "contract, Routes",
        "The query of a file's target is ignored",
        |ctx| is_file(ctx, "/hello.txt?v=1&x=%zz", "hello.txt"),
    )
    .needs(NEED),
];
