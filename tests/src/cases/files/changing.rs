//! A file that changes between two requests, or while it is sent.

use crate::case::Kind::Must;
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get_and_close};
use crate::fixture::pattern;
use crate::verdict::{Stop, Verdict, demand};

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

pub(super) const CASES: &[Case] = &[
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
