//! Path traversal: attempts to read files outside the root, in every encoding that has worked
//! against some server.

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get};
use crate::fixture::{SECRET, content};
use crate::response::Response;
use crate::verdict::{Verdict, ensure};

const NEED: &[Need] = &[Need::Files, Need::Plaintext];

fn no_secret(answer: &Response) -> Verdict {
    ensure(
        !answer.text().contains(SECRET),
        "nothing from outside the root",
        "the content of a file that lies beside the root",
    )
}

/// Asserts that a request for the target is answered 404 without the content of a file outside the
/// root, and that the connection stays open.
fn hidden(ctx: &mut Ctx<'_>, target: &str) -> Verdict {
    let mut client = ctx.client()?;
    client.send([get(target), get("/plaintext")].concat())?;
    if client.closed_without_response() {
        return Ok(());
    }
    let answer = client.response()?;
    no_secret(&answer)?;
    if ctx.lenient && answer.status >= 300 {
        return Ok(());
    }
    answer.is(404)?;
    client.response()?.is(200)?.has_content("Hello, World!").map(drop)
}

/// Asserts that the target, whose encoding is invalid, is answered 400 and the connection stays
/// open.
fn malformed(ctx: &mut Ctx<'_>, target: &str) -> Verdict {
    ctx.assert_answered(get(target), 400).and_then(|answer| no_secret(&answer))
}

const TRAVERSAL: &str = "CWE-22";
const LINKS: &str = "CWE-59";
const DECODING: &str = "RFC 3986 §2.1, §7.3";

pub(super) const CASES: &[Case] = &[
    case("dot_dot", Security, TRAVERSAL, "/../secret.txt does not lead out of the root", |ctx| {
        hidden(ctx, "/../secret.txt")
    })
    .needs(NEED),
    case("dot_dot_deep", Security, TRAVERSAL, "/sub/../../secret.txt does not lead out of the root", |ctx| {
        hidden(ctx, "/sub/../../secret.txt")
    })
    .needs(NEED),
    case("dot_dot_many", Security, TRAVERSAL, "/../../…/etc/passwd does not lead to the system's files", |ctx| {
        hidden(ctx, "/../../../../../../../../../../etc/passwd")
    })
    .needs(NEED),
    case(
        "dot_dot_inside",
        Contract,
        TRAVERSAL,
        "A path segment that begins with a dot is 404, even if the path stays inside the root",
        |ctx| hidden(ctx, "/sub/../hello.txt"),
    )
    .needs(NEED),
    case("dot_dot_encoded", Security, DECODING, "%2e%2e is treated as ..", |ctx| {
        hidden(ctx, "/%2e%2e/secret.txt")
    })
    .needs(NEED),
    case("dot_dot_half_encoded", Security, DECODING, ".%2E is treated as ..", |ctx| {
        hidden(ctx, "/.%2E/secret.txt")
    })
    .needs(NEED),
    case("encoded_slash", Security, DECODING, "..%2f does not lead out of the root", |ctx| {
        hidden(ctx, "/..%2fsecret.txt")
    })
    .needs(NEED),
    case(
        "encoded_slash_inside",
        Contract,
        DECODING,
        "%2F is part of a file name, not a separator, so no such file exists",
        |ctx| hidden(ctx, "/sub%2Fpage.html"),
    )
    .needs(NEED),
    case("all_encoded", Security, DECODING, "%2e%2e%2f does not lead out of the root", |ctx| {
        hidden(ctx, "/%2e%2e%2fsecret.txt")
    })
    .needs(NEED),
    case("encoded_twice", Security, DECODING, "%252e%252e is not decoded twice", |ctx| {
        hidden(ctx, "/%252e%252e/secret.txt")
    })
    .needs(NEED),
    case(
        "encoded_slash_twice",
        Security,
        DECODING,
        "..%252f is not decoded twice",
        |ctx| hidden(ctx, "/..%252fsecret.txt"),
    )
    .needs(NEED),
    case(
        "overlong_utf8",
        Security,
        "RFC 3629 §3",
        "The overlong UTF-8 encoding %c0%ae is not a dot",
        |ctx| hidden(ctx, "/%c0%ae%c0%ae/secret.txt"),
    )
    .needs(NEED),
    case("backslash", Security, TRAVERSAL, "..\\ does not lead out of the root", |ctx| {
        hidden(ctx, "/..%5csecret.txt")
    })
    .needs(NEED),
    case("nul", Security, "CWE-158", "%00 does not truncate a file name", |ctx| {
        hidden(ctx, "/hello.txt%00.html")
    })
    .needs(NEED),
    case(
        "absolute_path",
        Security,
        TRAVERSAL,
        "//etc/passwd is not an absolute path of the file system",
        |ctx| hidden(ctx, "//etc/passwd"),
    )
    .needs(NEED),
    case("empty_part", Contract, "contract, Files", "An empty path segment is 404", |ctx| {
        hidden(ctx, "/sub//page.html")
    })
    .needs(NEED),
    case(
        "single_dot",
        Contract,
        "contract, Files",
        "A path segment . is 404",
        |ctx| hidden(ctx, "/./hello.txt"),
    )
    .needs(NEED),
    case(
        "dot_dot_in_absolute_form",
        Security,
        TRAVERSAL,
        "A target in absolute form does not lead out of the root",
        |ctx| hidden(ctx, "http://suite/../secret.txt"),
    )
    .needs(NEED),
    case(
        "sibling_by_prefix",
        Security,
        TRAVERSAL,
        "A sibling directory whose name begins with the root's name is outside the root",
        |ctx| hidden(ctx, "/../root-secret/secret.txt"),
    )
    .needs(NEED),
    case(
        "sibling_glued",
        Security,
        TRAVERSAL,
        "A sibling directory is not reached by a name appended to the root's name",
        |ctx| hidden(ctx, "/-secret/secret.txt"),
    )
    .needs(NEED),
    case(
        "link_out",
        Security,
        LINKS,
        "A symbolic link to a file outside the root is 404",
        |ctx| hidden(ctx, "/out.txt"),
    )
    .needs(NEED)
    .beyond_standards(),
    case("link_out_relative", Security, LINKS, "A relative symbolic link to a file outside the root is 404", |ctx| {
        hidden(ctx, "/out-relative.txt")
    })
    .needs(NEED)
    .beyond_standards(),
    case(
        "link_out_directory",
        Security,
        LINKS,
        "A file below a symbolic link to a directory outside the root is 404",
        |ctx| hidden(ctx, "/out-dir/secret.txt"),
    )
    .needs(NEED)
    .beyond_standards(),
    case("link_out_directory_index", Security, LINKS, "A symbolic link to a directory outside the root is 404", |ctx| {
        hidden(ctx, "/out-dir/")
    })
    .needs(NEED)
    .beyond_standards(),
    case(
        "link_to_sibling",
        Security,
        LINKS,
        "A symbolic link to a sibling directory whose name begins with the root's is 404",
        |ctx| hidden(ctx, "/out-sibling/secret.txt"),
    )
    .needs(NEED)
    .beyond_standards(),
    case("link_loop", Security, LINKS, "A loop of symbolic links is 404", |ctx| {
        hidden(ctx, "/loop-a")
    })
    .needs(NEED),
    case(
        "link_inside",
        Contract,
        "contract, Files",
        "A symbolic link to a file inside the root is followed",
        |ctx| ctx.get("/inside.txt")?.is(200)?.has_content(content("hello.txt")).map(drop),
    )
    .needs(NEED),
    case(
        "link_inside_directory",
        Contract,
        "contract, Files",
        "A symbolic link to a directory inside the root is followed",
        |ctx| ctx.get("/inside-dir/page.html")?.is(200).map(drop),
    )
    .needs(NEED),
    case("dotfile", Security, "CWE-538", "A dotfile is 404", |ctx| {
        hidden(ctx, "/.hidden")
    })
    .needs(NEED)
    .beyond_standards(),
    case(
        "dotfile_encoded",
        Security,
        "CWE-538",
        "A dotfile whose dot is encoded is 404",
        |ctx| hidden(ctx, "/%2ehidden"),
    )
    .needs(NEED)
    .beyond_standards(),
    case(
        "dot_directory",
        Security,
        "CWE-538",
        "A file in a dot directory is 404",
        |ctx| hidden(ctx, "/.git/config"),
    )
    .needs(NEED)
    .beyond_standards(),
    case(
        "fifo",
        Security,
        "open(2)",
        "A named pipe is 404, and the server does not block until it has a writer",
        |ctx| hidden(ctx, "/pipe"),
    )
    .needs(NEED),
    case("socket", Security, "open(2)", "A socket is 404", |ctx| {
        hidden(ctx, "/socket")
    })
    .needs(NEED),
    case(
        "slash_behind_file",
        Contract,
        "contract, Files",
        "A file name with a trailing slash is 404",
        |ctx| hidden(ctx, "/hello.txt/"),
    )
    .needs(NEED),
    case(
        "part_behind_file",
        Contract,
        "contract, Files",
        "A path below a file is 404",
        |ctx| hidden(ctx, "/hello.txt/more"),
    )
    .needs(NEED),
    case(
        "long_name",
        Contract,
        "open(2), ENAMETOOLONG",
        "A file name longer than the system allows is 404",
        |ctx| hidden(ctx, &format!("/{}", "x".repeat(3000))),
    )
    .needs(NEED),
    case(
        "long_path",
        Contract,
        "open(2), ENAMETOOLONG",
        "A path longer than the system allows is 404",
        |ctx| hidden(ctx, &"/abc".repeat(1500)),
    )
    .needs(NEED),
    case(
        "percent_without_digits",
        Contract,
        DECODING,
        "A percent sign without two digits is 400",
        |ctx| malformed(ctx, "/%zz"),
    )
    .needs(NEED),
    case(
        "percent_cut_off",
        Contract,
        DECODING,
        "A percent sign at the end is 400",
        |ctx| malformed(ctx, "/hello%2"),
    )
    .needs(NEED),
    case("percent_alone", Contract, DECODING, "A percent sign alone is 400", |ctx| {
        malformed(ctx, "/%")
    })
    .needs(NEED),
];
