//! The mapping of targets to files: directories, encoded characters, missing files.

use super::{NEED, is_file, own_root, write};
use crate::case::Kind::{Contract, Must, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get};
use crate::fixture::variant;
use crate::rlimits::Rlimits;
use crate::target::unprivileged;
use crate::verdict::{Abort, Verdict, ensure};
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

/// Asserts that a request for `target` is redirected to the location `place`.
fn redirects(ctx: &mut Ctx<'_>, target: &str, place: &str) -> Verdict {
    let answer = ctx.get(target)?;
    if ctx.standards && answer.status == 400 {
        return Ok(()); // the standards also let the server refuse the target
    }
    let to = answer.is(301)?.field("Location").unwrap_or_default();
    let path = to.strip_prefix("http://suite").unwrap_or(to);
    ensure(path.eq_ignore_ascii_case(place), format!("Location: {place}"), to)
}

pub(super) const CASES: &[Case] = &[
    case(
        "directory_redirects",
        Contract,
        "RFC 9110 §15.4.2",
        "A directory without the trailing slash is 301 to the path with it",
        |ctx| {
            let answer = ctx.assert_answered(get("/sub"), 301)?;
            let to = answer.field("Location").unwrap_or_default();
            let sub = variant().name("/sub/");
            let same = to == sub || to.ends_with(&format!("://suite{sub}"));
            ensure(same, format!("Location: {sub}"), to)
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
            let sub = variant().name("/sub/?a=b%20c");
            let same = to == sub || to.ends_with(&format!("://suite{sub}"));
            ensure(same, format!("Location: {sub}"), to)
        },
    )
    .needs(NEED),
    case(
        "redirect_is_encoded",
        Security,
        "RFC 9110 §10.2.2, RFC 3986 §3.3",
        "A redirect stays on the same host whatever the name of the directory: octets that are not allowed in a URL are percent-encoded in Location",
        |ctx| {
            let base = own_root(ctx)?;
            for name in ["\\evil.com", "a\"<b>[c]^`{d|}", "e%f", "g%2f"] {
                write(ctx, format!("{name}/index.html").as_bytes(), b"here")?;
            }
            redirects(ctx, "/\\evil.com", "/%5Cevil.com/")?;
            redirects(ctx, "/%5cevil.com", "/%5Cevil.com/")?;
            redirects(ctx, "/a\"<b>[c]^`{d|}", "/a%22%3Cb%3E%5Bc%5D%5E%60%7Bd%7C%7D/")?;
            redirects(ctx, "/e%25f?g=\"%zz%20", "/e%25f/?g=%22%25zz%20")?;
            redirects(ctx, "/g%252f", "/g%252f/")?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process]),
    case(
        "unreadable_directory",
        Contract,
        "path_resolution(7)",
        "A directory that the server may search but not read is redirected, and its files are served",
        |ctx| {
            if !cfg!(target_os = "linux") {
                return Err(Abort::skip("this system opens a directory only with read permission"));
            }
            let base = own_root(ctx)?;
            write(ctx, b"dark/index.html", b"The index.")?;
            write(ctx, b"dark/file.txt", b"A file.")?;
            let permissions = |path, mode| {
                set_permissions(path, Permissions::from_mode(mode)).map_err(|error| Abort::skip(error.to_string()))
            };
            permissions(ctx.root.join("dark"), 0o311)?;
            permissions(ctx.root.clone(), 0o755)?;
            let (_kept, own) = unprivileged(ctx.target)?;
            let mut other = Ctx::new(&own, ctx.profile, ctx.root.clone());
            other.log = ctx.log.clone();
            other.serve_with_rlimits(&[], Rlimits { permissions: true, ..Rlimits::default() })?;
            redirects(&mut other, "/dark", "/dark/")?;
            other.get("/dark/")?.is(200)?.has_content("The index.")?;
            other.get("/dark/file.txt")?.is(200)?.has_content("A file.")?;
            permissions(ctx.root.join("dark"), 0o755)?; // the removal needs this permission
            drop(base);
            other.finish(false)
        },
    )
    .needs(&[Need::Files, Need::Process]),
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
        let name = variant().name("hello.txt");
        let (first, rest) = name.split_at(1);
        let first = first.as_bytes()[0];
        is_file(ctx, &format!("/%{first:02x}{rest}"), "hello.txt")
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
        "name_is_not_utf8",
        Contract,
        "RFC 3986 §2.1",
        "A file whose name is not UTF-8 is found by its percent-encoded bytes, and by no others",
        |ctx| {
            let base = own_root(ctx)?;
            write(ctx, b"caf\xe9.txt", b"Latin-1")?;
            let answer = ctx.get("/caf%E9.txt")?;
            answer.is(200)?.has_content("Latin-1")?;
            ensure(
                answer.field("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")),
                "Content-Type: text/plain",
                answer.field("Content-Type").unwrap_or("no Content-Type"),
            )?;
            ctx.get("/caf%C3%A9.txt")?.is(404)?;
            ctx.get("/caf%EF%BF%BD.txt")?.is(404)?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process]),
    case(
        "query_ignored",
        Contract,
        "contract, Routes",
        "The query of a file's target is ignored",
        |ctx| is_file(ctx, "/hello.txt?v=1&x=%zz", "hello.txt"),
    )
    .needs(NEED),
];
