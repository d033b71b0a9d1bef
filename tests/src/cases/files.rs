//! Static files: every byte, and the fields that describe them.

use crate::case::Kind::{Contract, Must, Security, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, get_and_close, request};
use crate::fixture::{FILES, LARGE, MIDDLE, pattern};
use crate::verdict::{Stop, Verdict, demand};

const NEED: &[Need] = &[Need::Files];

/// The target is answered with the content of this file of the root.
fn is_file(ctx: &mut Ctx<'_>, target: &str, name: &str) -> Verdict {
    let content =
        FILES.iter().find(|(file, _)| *file == name).map(|(_, content)| *content);
    let content = content.ok_or_else(|| Stop::skip(format!("no file {name}")))?;
    ctx.get(target)?.is(200)?.holds(content).map(drop)
}

/// A strong tag in quotes.
fn is_tag(tag: &str) -> bool {
    tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
}

/// The target has a content type that begins so.
fn has_type(ctx: &mut Ctx<'_>, target: &str, wanted: &str) -> Verdict {
    let answer = ctx.get(target)?;
    let kind =
        answer.is(200)?.field("Content-Type").unwrap_or_default().to_ascii_lowercase();
    demand(
        kind.replace(' ', "").starts_with(wanted),
        format!("Content-Type: {wanted}"),
        kind,
    )
}

pub(super) const CASES: &[Case] = &[
    case("index", Contract, "contract, Files", "/ is the root's index.html", |ctx| {
        is_file(ctx, "/", "index.html")
    })
    .needs(NEED),
    case("index_below", Contract, "contract, Files", "/sub/ is its index.html", |ctx| {
        is_file(ctx, "/sub/", "sub/index.html")
    })
    .needs(NEED),
    case("below", Must, "RFC 9110 §9.3.1", "A file in a directory is found", |ctx| {
        is_file(ctx, "/sub/page.html", "sub/page.html")
    })
    .needs(NEED),
    case(
        "empty",
        Must,
        "RFC 9110 §8.6",
        "A file of no bytes is 200 with Content-Length: 0",
        |ctx| {
            ctx.get("/empty.txt")?
                .is(200)?
                .holds("")?
                .has("Content-Length", "0")
                .map(drop)
        },
    )
    .needs(NEED),
    case("one_byte", Must, "RFC 9110 §8.6", "A file of one byte has one byte", |ctx| {
        is_file(ctx, "/one.txt", "one.txt")
    })
    .needs(NEED),
    case(
        "more_bytes_than_characters",
        Must,
        "RFC 9110 §8.6",
        "A length counts bytes, not characters: text outside ASCII arrives whole",
        |ctx| is_file(ctx, "/utf8.txt", "utf8.txt"),
    )
    .needs(NEED),
    case(
        "middle",
        Must,
        "RFC 9110 §8.6",
        "A file of 100 KB arrives byte for byte",
        |ctx| ctx.get("/middle.bin")?.is(200)?.holds(pattern(MIDDLE)).map(drop),
    )
    .needs(NEED),
    case(
        "large",
        Must,
        "RFC 9110 §8.6",
        "A file of 3 MB arrives byte for byte, three times on one connection",
        |ctx| {
            let content = pattern(LARGE);
            let mut client = ctx.client()?;
            for _ in 0..3 {
                client.send(get("/large.bin"))?;
                client.response()?.is(200)?.holds(&content)?;
            }
            Ok(())
        },
    )
    .needs(NEED),
    case(
        "head",
        Must,
        "RFC 9110 §9.3.2",
        "HEAD of a file has GET's fields, its length, and no content",
        |ctx| {
            let got = ctx.get("/middle.bin")?;
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/middle.bin", "Connection: close\r\n"))?;
            let answer = client.response_to("HEAD")?;
            answer.is(200)?.has("Content-Length", &MIDDLE.to_string())?;
            for name in ["Content-Type", "Last-Modified", "ETag", "Accept-Ranges"] {
                let same = answer.field(name) == got.field(name);
                let (want, came) = (got.field(name), answer.field(name));
                demand(
                    same,
                    format!("{name} as with GET: {want:?}"),
                    format!("{came:?}"),
                )?;
            }
            client.ends()
        },
    )
    .needs(NEED),
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
            demand(
                is_tag(&tag)
                    || ctx.standards && tag.strip_prefix("W/").is_some_and(is_tag),
                "a strong ETag in quotes",
                if tag.is_empty() { "no ETag field" } else { &tag },
            )?;
            two.has("ETag", &tag)?;
            let date = one.field("Last-Modified").unwrap_or_default();
            demand(
                httpdate::parse_http_date(date).is_ok(),
                "a Last-Modified that is a date",
                if date.is_empty() { "no Last-Modified field" } else { date },
            )
        },
    )
    .needs(NEED),
    case(
        "last_modified_is_true",
        Should,
        "RFC 9110 §8.8.2",
        "Last-Modified is the file's own time, in whole seconds",
        |ctx| {
            if !ctx.target.has_root() {
                return Err(Stop::skip(
                    "the files that a running server serves are not ours to look at",
                ));
            }
            let path = ctx.root.join("hello.txt");
            let time = std::fs::metadata(path).and_then(|meta| meta.modified());
            let time = time.map_err(|error| Stop::skip(format!("no time: {error}")))?;
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
        "A file that is older than the system's clock counts is served like any other",
        |ctx| {
            ctx.get("/old.txt")?.is(200)?.holds("from 1950\n")?;
            ctx.get("/hello.txt")?.is(200).map(drop)
        },
    )
    .needs(NEED),
    case(
        "accept_ranges",
        Contract,
        "RFC 9110 §14.3",
        "A file says that it can be had in ranges",
        |ctx| ctx.get("/hello.txt")?.is(200)?.names("Accept-Ranges", "bytes").map(drop),
    )
    .needs(NEED),
    case(
        "http_1_0",
        Must,
        "RFC 9112 §9.3",
        "A file goes to HTTP/1.0 clients too, and ends with the connection",
        |ctx| {
            let mut client = ctx.client()?;
            client.send("GET /middle.bin HTTP/1.0\r\n\r\n")?;
            client.response()?.is(200)?.holds(pattern(MIDDLE))?;
            client.ends()
        },
    )
    .needs(NEED),
    case(
        "changed_file_changes_tag",
        Must,
        "RFC 9110 §8.8.3",
        "When a file's bytes change, its ETag does",
        |ctx| {
            let base = own_root(ctx)?;
            let first = ctx.get("/file.txt")?;
            write(ctx, "file.txt", b"other bytes, other length")?;
            let second = ctx.get("/file.txt")?;
            second.is(200)?.holds("other bytes, other length")?;
            let (old, new) = (first.field("ETag"), second.field("ETag"));
            if ctx.standards && old.is_none() && new.is_none() {
                return Err(Stop::skip("the server sends no ETag"));
            }
            let shown = |tag: Option<&str>| tag.unwrap_or("no ETag").to_owned();
            demand(
                old.is_some() && old != new,
                "another ETag",
                format!("first {}, then {}", shown(old), shown(new)),
            )?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process]),
    case(
        "file_shrinks_while_sent",
        Must,
        "RFC 9112 §8",
        "A file that shrinks while it is sent ends the connection; no made-up bytes",
        |ctx| {
            let base = own_root(ctx)?;
            let length = 8 * 1024 * 1024;
            write(ctx, "file.txt", &pattern(length))?;
            let mut client = ctx.small_client()?;
            client.send(get_and_close("/file.txt"))?;
            let seen = client.look(crate::patience::patience());
            demand(
                seen == crate::client::Seen::Bytes,
                "the beginning of the answer",
                seen.in_words(),
            )?;
            write(ctx, "file.txt", b"short")?;
            let (bytes, _) = client.rest()?;
            // A server that had read all of it before may send all of it.
            demand(
                bytes.len() < length || bytes.ends_with(&pattern(length)),
                "an answer cut short, or the whole file as it was",
                format!("{} bytes, not all of them the file's", bytes.len()),
            )?;
            client.close();
            ctx.is_well()?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process, Need::Plaintext])
    .may_complain(),
];

/// A document root of the case's own, with one file, which it may change.
fn own_root(ctx: &mut Ctx<'_>) -> Result<tempfile::TempDir, Stop> {
    let base = tempfile::tempdir()
        .map_err(|error| Stop::skip(format!("no directory: {error}")))?;
    ctx.root =
        base.path().canonicalize().map_err(|error| Stop::skip(error.to_string()))?;
    write(ctx, "file.txt", b"bytes")?;
    write(ctx, "plaintext", b"Hello, World!")?;
    Ok(base)
}

fn write(ctx: &Ctx<'_>, name: &str, content: &[u8]) -> Verdict {
    std::fs::write(ctx.root.join(name), content)
        .map_err(|error| Stop::skip(format!("cannot write: {error}")))
}
