//! Files that change between two requests, or while they are sent.

use crate::case::Kind::Must;
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get_and_close};
use crate::fixture::pattern;
use crate::verdict::{Abort, Verdict, ensure};

/// Creates a separate document root, whose files the case may change.
fn own_root(ctx: &mut Ctx<'_>) -> Result<tempfile::TempDir, Abort> {
    let base = tempfile::tempdir()
        .map_err(|error| Abort::skip(format!("cannot create a directory: {error}")))?;
    ctx.root =
        base.path().canonicalize().map_err(|error| Abort::skip(error.to_string()))?;
    write(ctx, "file.txt", b"bytes")?;
    write(ctx, "plaintext", b"Hello, World!")?;
    Ok(base)
}

fn write(ctx: &Ctx<'_>, name: &str, content: &[u8]) -> Verdict {
    std::fs::write(ctx.root.join(name), content)
        .map_err(|error| Abort::skip(format!("cannot write a file: {error}")))
}

pub(super) const CASES: &[Case] = &[
    case(
        "changed_file_changes_tag",
        Must,
        "RFC 9110 §8.8.3",
        "When a file's content changes, its ETag changes",
        |ctx| {
            let base = own_root(ctx)?;
            let first = ctx.get("/file.txt")?;
            write(ctx, "file.txt", b"other bytes, other length")?;
            let second = ctx.get("/file.txt")?;
            second.is(200)?.has_content("other bytes, other length")?;
            let (old, new) = (first.field("ETag"), second.field("ETag"));
            if ctx.standards && old.is_none() && new.is_none() {
                return Err(Abort::skip("the server sends no ETag"));
            }
            let shown = |tag: Option<&str>| tag.unwrap_or("no ETag").to_owned();
            ensure(
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
        "If a file shrinks while it is sent, the connection is closed, and no other bytes are sent instead",
        |ctx| {
            let base = own_root(ctx)?;
            let length = 8 * 1024 * 1024;
            write(ctx, "file.txt", &pattern(length))?;
            let mut client = ctx.small_client()?;
            client.send(get_and_close("/file.txt"))?;
            let seen = client.peek(crate::timeout::timeout());
            ensure(
                seen == crate::client::Peek::Bytes,
                "the beginning of the response",
                seen.describe(),
            )?;
            write(ctx, "file.txt", b"short")?;
            let (bytes, _) = client.read_to_end()?;
            // A server that has read the whole file before may send all of it.
            ensure(
                bytes.len() < length || bytes.ends_with(&pattern(length)),
                "a response that is cut short, or the whole file as it was",
                format!("{} bytes, not all of them the file's", bytes.len()),
            )?;
            client.close();
            ctx.assert_healthy()?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process, Need::Plaintext])
    .may_log(),
];
