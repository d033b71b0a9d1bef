//! Responses with a file: their content is exactly the file's bytes.

use super::{NEED, is_file};
use crate::case::Kind::{Contract, Must};
use crate::case::{Case, case};
use crate::ctx::{get, request};
use crate::fixture::{large, middle, pattern, variant};
use crate::verdict::ensure;

pub(super) const CASES: &[Case] = &[
    case(
        "index",
        Contract,
        "contract, Files",
        "/ is answered with the root's index.html",
        |ctx| is_file(ctx, "/", "index.html"),
    )
    .needs(NEED),
    case(
        "index_below",
        Contract,
        "contract, Files",
        "/sub/ is answered with its index.html",
        |ctx| is_file(ctx, "/sub/", "sub/index.html"),
    )
    .needs(NEED),
    case("below", Must, "RFC 9110 §9.3.1", "A file in a subdirectory is found", |ctx| {
        is_file(ctx, "/sub/page.html", "sub/page.html")
    })
    .needs(NEED),
    case(
        "empty",
        Must,
        "RFC 9110 §8.6",
        "An empty file is 200 with Content-Length: 0",
        |ctx| {
            ctx.get("/empty.txt")?
                .is(200)?
                .has_content("")?
                .has("Content-Length", "0")
                .map(drop)
        },
    )
    .needs(NEED),
    case("one_byte", Must, "RFC 9110 §8.6", "A file of one byte is sent whole", |ctx| {
        is_file(ctx, "/one.txt", "one.txt")
    })
    .needs(NEED),
    case(
        "more_bytes_than_characters",
        Must,
        "RFC 9110 §8.6",
        "Content-Length counts bytes, not characters: text outside ASCII arrives whole",
        |ctx| is_file(ctx, "/utf8.txt", "utf8.txt"),
    )
    .needs(NEED),
    case(
        "middle",
        Must,
        "RFC 9110 §8.6",
        "A file of 100 KB arrives byte for byte",
        |ctx| ctx.get("/middle.bin")?.is(200)?.has_content(pattern(middle())).map(drop),
    )
    .needs(NEED),
    case(
        "large",
        Must,
        "RFC 9110 §8.6",
        "A file of 3 MB arrives byte for byte, three times on one connection",
        |ctx| {
            let content = pattern(large());
            let mut client = ctx.client()?;
            for _ in 0..3 {
                client.send(get("/large.bin"))?;
                client.response()?.is(200)?.has_content(&content)?;
            }
            Ok(())
        },
    )
    .needs(NEED),
    case(
        "head",
        Must,
        "RFC 9110 §9.3.2",
        "The response to HEAD of a file has GET's fields, its length, and no content",
        |ctx| {
            let got = ctx.get("/middle.bin")?;
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/middle.bin", "Connection: close\r\n"))?;
            let answer = client.response_to("HEAD")?;
            answer.is(200)?.has("Content-Length", &middle().to_string())?;
            for name in ["Content-Type", "Last-Modified", "ETag", "Accept-Ranges"] {
                let same = answer.field(name) == got.field(name);
                let (want, actual) = (got.field(name), answer.field(name));
                ensure(
                    same,
                    format!("{name} as with GET: {want:?}"),
                    format!("{actual:?}"),
                )?;
            }
            client.assert_closed()
        },
    )
    .needs(NEED),
    case(
        "http_1_0",
        Must,
        "RFC 9112 §9.3",
        "A file is sent to an HTTP/1.0 client, and then the connection is closed",
        |ctx| {
            let mut client = ctx.client()?;
            let target = variant().name("/middle.bin");
            client.send(format!("GET {target} HTTP/1.0\r\n\r\n"))?;
            client.response()?.is(200)?.has_content(pattern(middle()))?;
            client.assert_closed()
        },
    )
    .needs(NEED),
];
