//! Files that change between two requests, or while the server sends them.

use super::{own_root, write, write_at};
use crate::case::Kind::Must;
use crate::case::{Case, Need, case};
use crate::ctx::{get_and_close, request};
use crate::fixture::{large, pattern};
use crate::verdict::{Abort, ensure};
use std::time::{Duration, UNIX_EPOCH};

pub(super) const CASES: &[Case] = &[
    case(
        "changed_file_changes_tag",
        Must,
        "RFC 9110 §8.8.3",
        "When a file's content changes, its ETag changes",
        |ctx| {
            let base = own_root(ctx)?;
            let first = ctx.get("/file.txt")?;
            write(ctx, b"file.txt", b"other bytes, other length")?;
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
        "old_file_changes_tag",
        Must,
        "RFC 9110 §8.8.3",
        "When a file from before 1970 is replaced by another, its ETag changes",
        |ctx| {
            let base = own_root(ctx)?;
            let mut tags = Vec::new();
            for (content, age) in [(b"1960", 3650), (b"1950", 7300)] {
                let changed = UNIX_EPOCH - Duration::from_secs(age * 86_400);
                write_at(ctx, "file.txt", content, changed)?;
                let answer = ctx.get("/file.txt")?;
                answer.is(200)?.has_content(content)?;
                tags.push(answer.field("ETag").unwrap_or("no ETag").to_owned());
            }
            if ctx.standards && tags[0] == "no ETag" {
                return Err(Abort::skip("the server sends no ETag"));
            }
            ensure(tags[0] != tags[1], "another ETag", format!("twice {}", tags[0]))?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process]),
    case(
        "two_versions_in_a_second",
        Must,
        "RFC 9110 §13.1.5, §8.8.2.2",
        "If-Range with a date that two versions of a file share is answered with the whole file, not with part of the other version",
        |ctx| {
            let base = own_root(ctx)?;
            let within = |millis: u64| UNIX_EPOCH + Duration::from_millis(1_577_836_800_000 + millis);
            write_at(ctx, "file.txt", b"the first one", within(100))?;
            let first = ctx.get("/file.txt")?;
            let date = first.is(200)?.field("Last-Modified").unwrap_or_default().to_owned();
            write_at(ctx, "file.txt", b"then another!", within(600))?;
            let fields = format!("Range: bytes=4-\r\nIf-Range: {date}\r\nConnection: close\r\n");
            ctx.ask(request("GET", "/file.txt", &fields))?.is(200)?.has_content("then another!")?;
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
            let mut whole = pattern(large()).repeat(3);
            whole.truncate(8 * 1024 * 1024);
            write(ctx, b"file.txt", &whole)?;
            let mut client = ctx.small_client()?;
            client.send(get_and_close("/file.txt"))?;
            let seen = client.peek(crate::timeout::timeout());
            ensure(
                seen == crate::client::Peek::Bytes,
                "the beginning of the response",
                seen.describe(),
            )?;
            write(ctx, b"file.txt", b"short")?;
            let (bytes, _) = client.read_to_end()?;
            // A server that had read the whole file before the case overwrote it may send all of
            // the old content.
            ensure(
                bytes.len() < whole.len() || bytes.ends_with(&whole),
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
