//! `Cache-Control` with `max-age`: which responses a cache may keep, and for how long.
//!
//! With `--max-age SECONDS`, a response with a file has `Cache-Control: max-age=SECONDS`. An HTML
//! page has `no-cache` instead: a page keeps its URL when it changes, whereas a changed style sheet
//! or script can get a new URL, to which the page then refers. `/stats` has `no-store`. No refusal
//! and no other route has `max-age`.

use crate::case::Kind::{Contract, Must};
use crate::case::{Case, Need, case};
use crate::cases::files::{own_root, write};
use crate::ctx::{Ctx, echo, request};
use crate::fixture::content;
use crate::response::Response;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

const NEEDS: &[Need] = &[Need::Files, Need::Plaintext];
const CITE: &str = "project, Cache-Control with max-age";

/// Returns the directives of Cache-Control, in lower case.
fn directives(response: &Response) -> Vec<String> {
    let all = response.all("Cache-Control").join(",").to_ascii_lowercase();
    all.split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Asserts that a cache may keep the response for exactly `seconds`. Returns the response.
fn kept_for<'r>(response: &'r Response, seconds: &str) -> CaseResult<&'r Response> {
    let all = directives(response);
    let ages: Vec<_> = all.iter().filter(|one| one.starts_with("max-age")).collect();
    let forbids = |name: &str| all.iter().any(|one| one == name);
    ensure(
        ages == [&format!("max-age={seconds}")]
            && !forbids("no-store")
            && !forbids("no-cache"),
        format!("Cache-Control: max-age={seconds}, once, without no-cache and no-store"),
        format!("Cache-Control: {}", shown(&all)),
    )?;
    Ok(response)
}

/// Asserts that Cache-Control has no max-age, and that it has the directive `wanted`, if one is
/// given.
fn not_kept(response: &Response, wanted: Option<&str>) -> Verdict {
    let all = directives(response);
    let missing = wanted.is_some_and(|wanted| !all.iter().any(|one| one == wanted));
    let expected = match wanted {
        Some(wanted) => format!("Cache-Control: {wanted}, without max-age"),
        None => format!("no max-age with status {}", response.status),
    };
    let kept =
        all.iter().any(|one| one.starts_with("max-age") || one.starts_with("s-maxage"));
    ensure(!kept && !missing, expected, format!("Cache-Control: {}", shown(&all)))
}

fn shown(directives: &[String]) -> String {
    if directives.is_empty() { "none".to_owned() } else { directives.join(", ") }
}

fn serve(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.serve(&[("max-age", "600")])
}

/// Requests a target with `fields`, each of which ends with CR LF.
fn get_with(ctx: &mut Ctx<'_>, target: &str, fields: &str) -> CaseResult<Response> {
    ctx.ask(request("GET", target, &format!("{fields}Connection: close\r\n")))
}

/// Returns the ETag of `/style.css`.
fn tag(ctx: &mut Ctx<'_>) -> CaseResult<String> {
    let tag = ctx.get("/style.css")?.is(200)?.field("ETag").map(str::to_owned);
    tag.ok_or_else(|| Abort::fail("an ETag in the response with a file", "no ETag"))
}

pub(super) const CASES: &[Case] = &[
    case(
        "files_may_be_kept",
        Must,
        "RFC 9111 §5.2.2.1",
        "A response with a file has Cache-Control: max-age with the seconds of --max-age",
        |ctx| {
            serve(ctx)?;
            for target in ["/style.css", "/script.js", "/hello.txt", "/dot.png", "/middle.bin"] {
                kept_for(ctx.get(target)?.is(200)?, "600")?;
            }
            kept_for(ctx.get("/style.css")?.has_content(content("style.css"))?, "600").map(drop)
        },
    )
    .needs(NEEDS),
    case(
        "seconds_are_the_options",
        Must,
        "RFC 9111 §1.2.2",
        "The seconds are those of --max-age: 0, a day, and the largest number that every cache takes",
        |ctx| {
            for seconds in ["0", "86400", "2147483647"] {
                ctx.serve(&[("max-age", seconds)])?;
                kept_for(ctx.get("/style.css")?.is(200)?, seconds)?;
            }
            Ok(())
        },
    )
    .needs(NEEDS),
    case(
        "pages_are_revalidated",
        Contract,
        "RFC 9111 §5.2.2.4",
        "An HTML page, asked for by its name or by its directory, has Cache-Control: no-cache",
        |ctx| {
            serve(ctx)?;
            for target in ["/", "/index.html", "/sub/", "/sub/page.html"] {
                not_kept(ctx.get(target)?.is(200)?, Some("no-cache"))?;
            }
            Ok(())
        },
    )
    .needs(NEEDS),
    case(
        "head_has_it",
        Must,
        "RFC 9110 §9.3.2",
        "The response to HEAD has the same Cache-Control as the response to GET",
        |ctx| {
            serve(ctx)?;
            let mut client = ctx.client()?;
            client.send(request("HEAD", "/style.css", ""))?;
            kept_for(client.response_to("HEAD")?.is(200)?, "600")?;
            client.send(request("HEAD", "/sub/page.html", ""))?;
            not_kept(client.response_to("HEAD")?.is(200)?, Some("no-cache"))
        },
    )
    .needs(NEEDS),
    case(
        "not_modified_has_it",
        Must,
        "RFC 9110 §15.4.5",
        "A 304 has the Cache-Control that the 200 would have, so that the cache keeps its copy for another --max-age",
        |ctx| {
            serve(ctx)?;
            let tag = tag(ctx)?;
            let fields = format!("If-None-Match: {tag}\r\n");
            kept_for(get_with(ctx, "/style.css", &fields)?.is(304)?, "600")?;
            let page = ctx.get("/sub/page.html")?;
            let fields = format!("If-None-Match: {}\r\n", page.field("ETag").unwrap_or("*"));
            not_kept(get_with(ctx, "/sub/page.html", &fields)?.is(304)?, Some("no-cache"))
        },
    )
    .needs(NEEDS),
    case(
        "parts_have_it",
        Must,
        "RFC 9110 §15.3.7",
        "A 206 has the Cache-Control that the 200 would have",
        |ctx| {
            serve(ctx)?;
            kept_for(get_with(ctx, "/style.css", "Range: bytes=2-4\r\n")?.is(206)?, "600").map(drop)
        },
    )
    .needs(NEEDS),
    case(
        "changed_files_are_noticed",
        Must,
        "RFC 9111 §4.3",
        "When a kept copy is revalidated after the file has changed, the new file is sent, and may be kept in turn",
        |ctx| {
            let base = own_root(ctx)?;
            serve(ctx)?;
            let first = ctx.get("/file.txt")?;
            let tag = first.is(200)?.field("ETag").unwrap_or("no ETag").to_owned();
            write(ctx, b"file.txt", b"another content, of another length")?;
            let fields = format!("If-None-Match: {tag}\r\n");
            let second = get_with(ctx, "/file.txt", &fields)?;
            kept_for(second.is(200)?.has_content("another content, of another length")?, "600")?;
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Process]),
    case(
        "refusals_are_not_kept",
        Contract,
        CITE,
        "No refusal has max-age: a file that is missing now may exist in a moment",
        |ctx| {
            serve(ctx)?;
            not_kept(ctx.get("/there-is-no-such-file.css")?.is(404)?, None)?;
            not_kept(ctx.ask(request("POST", "/style.css", "Content-Length: 0\r\n"))?.is(405)?, None)?;
            not_kept(ctx.get("/%zz.css")?.is(400)?, None)?;
            let condition = "If-Match: \"another\"\r\n";
            not_kept(get_with(ctx, "/style.css", condition)?.is(412)?, None)?;
            not_kept(get_with(ctx, "/style.css", "Range: bytes=9999-\r\n")?.is(416)?, None)
        },
    )
    .needs(NEEDS),
    case(
        "counters_are_never_stored",
        Must,
        "RFC 9111 §5.2.2.5",
        "/stats has Cache-Control: no-store, and no other route has max-age",
        |ctx| {
            serve(ctx)?;
            not_kept(ctx.get("/stats")?.is(200)?, Some("no-store"))?;
            not_kept(ctx.get("/sleep/0")?.is(200)?, None)?;
            not_kept(ctx.ask(echo(b"hello"))?.is(200)?, None)
        },
    )
    .needs(&[Need::Files, Need::Stats, Need::Echo, Need::Sleep]),
];
