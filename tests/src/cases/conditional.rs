//! Conditional requests: a cache revalidates its copy of a file, or a client makes sure that a file
//! is unchanged.

use crate::case::Kind::{Contract, Must, Should};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, request};
use crate::fixture::content;
use crate::response::Response;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};
use httpdate::fmt_http_date;
use std::time::SystemTime;

const NEED: &[Need] = &[Need::Files, Need::Plaintext];
const LONG_AGO: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
const FAR_OFF: &str = "Fri, 01 Jan 2038 00:00:00 GMT";

/// Returns the ETag and Last-Modified of `/hello.txt`.
fn plain(ctx: &mut Ctx<'_>) -> CaseResult<(String, String)> {
    let answer = ctx.get("/hello.txt")?;
    answer.is(200)?;
    let tag = answer.field("ETag").unwrap_or_default().to_owned();
    let date = answer.field("Last-Modified").unwrap_or_default().to_owned();
    let missing = match (tag.is_empty(), date.is_empty()) {
        (false, false) => return Ok((tag, date)),
        (true, true) => "neither ETag nor Last-Modified",
        (true, false) => "no ETag",
        (false, true) => "no Last-Modified",
    };
    if ctx.standards {
        // The standards only recommend ETag and Last-Modified (SHOULD), so a case that needs them
        // is skipped if they are missing. The case `files::validators` reports that.
        return Err(Abort::skip(format!("the server sends {missing} with a file")));
    }
    Err(Abort::fail("ETag and Last-Modified in the response with a file", missing))
}

/// Sends a GET for `/hello.txt` with `fields`, in which TAG and DATE stand for the file's
/// validators (ETag and Last-Modified), and asserts the status of the response.
fn asks(ctx: &mut Ctx<'_>, fields: &str, status: u16) -> CaseResult<Response> {
    let (tag, date) = plain(ctx)?;
    let fields = fields.replace("TAG", &tag).replace("DATE", &date) + "\r\n";
    let mut client = ctx.client()?;
    client.send(request("GET", "/hello.txt", &fields))?;
    let answer = client.response()?;
    answer.is(status)?;
    if status == 200 {
        answer.has_content(content("hello.txt"))?;
    }
    if status != 412 {
        // Check the next response, too: if a 304 response had content, the next response would
        // begin with that content.
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?.has_content("Hello, World!")?;
    }
    Ok(answer)
}

fn gets(ctx: &mut Ctx<'_>, fields: &str, status: u16) -> Verdict {
    asks(ctx, fields, status).map(drop)
}

/// Sends a GET with the field line `field` for `/old.txt`, a file from 1950, and asserts the status
/// of the response.
fn asks_of_old(ctx: &mut Ctx<'_>, field: &str, status: u16) -> Verdict {
    let fields = format!("{field}\r\nConnection: close\r\n");
    ctx.ask(request("GET", "/old.txt", &fields))?.is(status).map(drop)
}

/// Returns January 1, `years` years from now, in the form of RFC 850, which has a year of two
/// digits.
fn rfc_850(years: i64) -> String {
    const WEEKDAYS: [&str; 7] =
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let now = fmt_http_date(SystemTime::now());
    let year = now[12..16].parse::<i64>().unwrap_or_default() + years;
    // The number of days since January 1, 1970, from which the weekday follows.
    let days = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100
        + (year - 1601) / 400;
    let weekday = WEEKDAYS[(days + 3).rem_euclid(7) as usize];
    format!("{weekday}, 01-Jan-{:02} 00:00:00 GMT", year % 100)
}

pub(super) const CASES: &[Case] = &[
    case(
        "none_match_same",
        Must,
        "RFC 9110 §13.1.2",
        "If-None-Match with the file's tag is 304",
        |ctx| gets(ctx, "If-None-Match: TAG", 304),
    )
    .needs(NEED),
    case(
        "none_match_other",
        Must,
        "RFC 9110 §13.1.2",
        "If-None-Match with another tag is 200",
        |ctx| gets(ctx, "If-None-Match: \"other\"", 200),
    )
    .needs(NEED),
    case(
        "none_match_star",
        Must,
        "RFC 9110 §13.1.2",
        "If-None-Match: * is 304 for an existing file",
        |ctx| gets(ctx, "If-None-Match: *", 304),
    )
    .needs(NEED),
    case(
        "none_match_list",
        Must,
        "RFC 9110 §13.1.2",
        "If-None-Match with the tag in a list is 304",
        |ctx| gets(ctx, "If-None-Match: \"a,b\", TAG , \"c\"", 304),
    )
    .needs(NEED),
    case(
        "none_match_two_lines",
        Must,
        "RFC 9110 §5.3",
        "If-None-Match on two lines is one list",
        |ctx| gets(ctx, "If-None-Match: \"a\"\r\nIf-None-Match: TAG", 304),
    )
    .needs(NEED),
    case(
        "none_match_weak",
        Must,
        "RFC 9110 §13.1.2",
        "If-None-Match compares weakly: the tag with W/ is 304",
        |ctx| gets(ctx, "If-None-Match: W/TAG", 304),
    )
    .needs(NEED),
    case(
        "not_modified_fields",
        Must,
        "RFC 9110 §15.4.5",
        "304 has the ETag and a Date, like 200, and no content",
        |ctx| {
            let (tag, _) = plain(ctx)?;
            let answer = asks(ctx, "If-None-Match: TAG", 304)?;
            answer.has("ETag", &tag)?;
            ensure(answer.field("Date").is_some(), "a Date field", "no Date field")
        },
    )
    .needs(NEED),
    case(
        "head_not_modified",
        Must,
        "RFC 9110 §13.1.2",
        "HEAD with If-None-Match and the file's tag is 304",
        |ctx| {
            let (tag, _) = plain(ctx)?;
            let mut client = ctx.client()?;
            client.send(request(
                "HEAD",
                "/hello.txt",
                &format!("If-None-Match: {tag}\r\n"),
            ))?;
            client.response_to("HEAD")?.is(304).map(drop)
        },
    )
    .needs(NEED),
    case(
        "modified_since_same",
        Should,
        "RFC 9110 §13.1.3",
        "If-Modified-Since with the file's date is 304",
        |ctx| gets(ctx, "If-Modified-Since: DATE", 304),
    )
    .needs(NEED),
    case(
        "modified_since_long_ago",
        Must,
        "RFC 9110 §13.1.3",
        "If-Modified-Since with an old date is 200",
        |ctx| gets(ctx, &format!("If-Modified-Since: {LONG_AGO}"), 200),
    )
    .needs(NEED),
    case(
        "modified_since_nonsense",
        Must,
        "RFC 9110 §13.1.3",
        "If-Modified-Since with an invalid date is ignored",
        |ctx| gets(ctx, "If-Modified-Since: yesterday", 200),
    )
    .needs(NEED),
    case(
        "none_match_beats_modified_since",
        Must,
        "RFC 9110 §13.1.3",
        "With If-None-Match, If-Modified-Since is ignored",
        |ctx| gets(ctx, "If-None-Match: \"other\"\r\nIf-Modified-Since: DATE", 200),
    )
    .needs(NEED),
    case(
        "match_same",
        Must,
        "RFC 9110 §13.1.1",
        "If-Match with the file's tag is 200",
        |ctx| gets(ctx, "If-Match: TAG", 200),
    )
    .needs(NEED),
    case(
        "match_star",
        Must,
        "RFC 9110 §13.1.1",
        "If-Match: * is 200 for an existing file",
        |ctx| gets(ctx, "If-Match: *", 200),
    )
    .needs(NEED),
    case(
        "match_other",
        Must,
        "RFC 9110 §13.1.1",
        "If-Match with another tag is 412",
        |ctx| gets(ctx, "If-Match: \"other\"", 412),
    )
    .needs(NEED),
    case(
        "match_weak",
        Must,
        "RFC 9110 §13.1.1",
        "If-Match compares strongly: a weak tag never matches",
        |ctx| gets(ctx, "If-Match: W/TAG", 412),
    )
    .needs(NEED),
    case(
        "match_list",
        Must,
        "RFC 9110 §13.1.1",
        "If-Match with the tag in a list is 200",
        |ctx| gets(ctx, "If-Match: \"a\", TAG", 200),
    )
    .needs(NEED),
    case(
        "unmodified_since_long_ago",
        Must,
        "RFC 9110 §13.1.4",
        "If-Unmodified-Since with an old date is 412",
        |ctx| gets(ctx, &format!("If-Unmodified-Since: {LONG_AGO}"), 412),
    )
    .needs(NEED),
    case(
        "unmodified_since_same",
        Must,
        "RFC 9110 §13.1.4",
        "If-Unmodified-Since with the file's date is 200",
        |ctx| gets(ctx, "If-Unmodified-Since: DATE", 200),
    )
    .needs(NEED),
    case(
        "unmodified_since_far_off",
        Must,
        "RFC 9110 §13.1.4",
        "If-Unmodified-Since with a later date is 200",
        |ctx| gets(ctx, &format!("If-Unmodified-Since: {FAR_OFF}"), 200),
    )
    .needs(NEED),
    case(
        "unmodified_since_before_1970",
        Must,
        "RFC 9110 §5.6.7, §13.1.4",
        "If-Unmodified-Since with a date before 1970 is 412",
        |ctx| gets(ctx, "If-Unmodified-Since: Wed, 31 Dec 1969 23:59:59 GMT", 412),
    )
    .needs(NEED),
    case(
        "file_from_before_1970",
        Must,
        "RFC 9110 §13.1.3, §13.1.4",
        "Dates are compared with the modification time of a file from before 1970",
        |ctx| {
            let (before, after) =
                ("Sat, 01 Jan 1949 00:00:00 GMT", "Mon, 01 Jan 1951 00:00:00 GMT");
            asks_of_old(ctx, &format!("If-Modified-Since: {before}"), 200)?;
            asks_of_old(ctx, &format!("If-Modified-Since: {after}"), 304)?;
            asks_of_old(ctx, &format!("If-Unmodified-Since: {before}"), 412)?;
            asks_of_old(ctx, &format!("If-Unmodified-Since: {after}"), 200)
        },
    )
    .needs(NEED),
    case(
        "leap_second",
        Must,
        "RFC 9110 §5.6.7",
        "A leap second, 23:59:60, is a valid date",
        |ctx| gets(ctx, "If-Unmodified-Since: Sat, 31 Dec 2016 23:59:60 GMT", 412),
    )
    .needs(NEED),
    case(
        "no_leap_second",
        Contract,
        "RFC 9110 §5.6.7",
        "A second 60 elsewhere, or a second 61, is not a valid date, and is ignored",
        |ctx| {
            gets(ctx, "If-Unmodified-Since: Sat, 31 Dec 2016 22:59:60 GMT", 200)?;
            gets(ctx, "If-Unmodified-Since: Sat, 31 Dec 2016 23:59:61 GMT", 200)
        },
    )
    .needs(NEED),
    case(
        "dates_of_asctime",
        Must,
        "RFC 9110 §5.6.7",
        "A date in the form of asctime() is accepted",
        |ctx| {
            gets(ctx, "If-Unmodified-Since: Sat Jan  1 00:00:00 2000", 412)?;
            gets(ctx, "If-Unmodified-Since: Sat Jan 15 00:00:00 2000", 412)?;
            gets(ctx, "If-Unmodified-Since: Fri Jan  1 00:00:00 2038", 200)
        },
    )
    .needs(NEED),
    case(
        "dates_of_rfc_850",
        Must,
        "RFC 9110 §5.6.7",
        "A year of two digits is the latest one that is not more than 50 years in the future",
        |ctx| {
            gets(ctx, &format!("If-Unmodified-Since: {}", rfc_850(-1)), 412)?;
            gets(ctx, &format!("If-Modified-Since: {}", rfc_850(49)), 304)?;
            gets(ctx, &format!("If-Unmodified-Since: {}", rfc_850(-48)), 412)
        },
    )
    .needs(NEED),
    case(
        "match_beats_unmodified_since",
        Must,
        "RFC 9110 §13.2.2",
        "With If-Match, If-Unmodified-Since is ignored",
        |ctx| {
            gets(ctx, &format!("If-Match: TAG\r\nIf-Unmodified-Since: {LONG_AGO}"), 200)
        },
    )
    .needs(NEED),
    case(
        "match_before_none_match",
        Must,
        "RFC 9110 §13.2.2",
        "If-Match is evaluated before If-None-Match: 412, not 304",
        |ctx| gets(ctx, "If-None-Match: TAG\r\nIf-Match: \"other\"", 412),
    )
    .needs(NEED),
    case(
        "conditions_of_404",
        Must,
        "RFC 9110 §13.2.1",
        "A conditional request for a missing file is 404",
        |ctx| {
            let head = request(
                "GET",
                "/there-is-no-such-thing",
                "If-None-Match: *\r\nConnection: close\r\n",
            );
            ctx.ask(head)?.is(404).map(drop)
        },
    )
    .needs(NEED),
];
