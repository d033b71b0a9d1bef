//! An example of an instructor's private crate. It adds cases that the public suite
//! lacks, and mutants (servers with one mistake each) that pass the public suite, for a
//! graded hunt: each student gets one mutant, and hands in a client that finds its
//! mistake.
//!
//! The program `instructor` is the command `course` with the private cases added: a
//! plan names them like public cases. The program `hunted` can run as each of the private
//! mutants, as the program `mutant` can as each of the public ones.

use client_suite::case::Kind::Contract;
use client_suite::case::{Case, Need, case};
use client_suite::ctx::{echo, get};
use mutant::{Answer, PrivateMutant, Request};

/// The name of this package's family of cases: the first part of each case's full name, such
/// as `own::every_length`.
pub const FAMILY: &str = "own";

/// The title of the text that explains this crate's cases; the report of a failed case
/// names it.
pub const SECTION: &str = "The assignment's text, week 5";

/// The cases that the instructor adds to those of the suite.
pub const CASES: &[Case] = &[
    // ANCHOR: case
    case(
        "every_length",
        Contract,
        "the assignment's text",
        "Contents of 0, 1, 2, … 300 bytes are echoed, one after another on one connection",
        |ctx| {
            let mut client = ctx.client()?;
            for length in 0..=300 {
                let content = vec![b'0' + (length % 10) as u8; length];
                client.send(echo(&content))?;
                client.response()?.is(200)?.has_content(&content)?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Echo]),
    // ANCHOR_END: case
    case(
        "a_thousand_and_one",
        Contract,
        "the assignment's text",
        "A connection is good for more than a thousand requests",
        |ctx| {
            let mut client = ctx.client()?;
            for _ in 0..=1000 {
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext]),
];

/// The instructor's mutants: servers with one mistake each. Students get the compiled
/// program, which contains the mutants' names and descriptions, so the names and
/// descriptions give no mistake away. The comments of the mutants' functions explain
/// the mistakes to the instructor.
pub const MUTANTS: &[PrivateMutant] = &[
    PrivateMutant { name: "alder", wrong: "is wrong", change: ends_at_a_dot },
    PrivateMutant { name: "birch", wrong: "is wrong", change: tires },
    PrivateMutant { name: "cedar", wrong: "is wrong", change: forgets_the_empty_query },
];

/// Ends an echoed content at a line that is a single dot, as mail does (RFC 5321 section 4.5.2).
fn ends_at_a_dot(request: &Request<'_>, answer: &mut Answer) {
    const DOT: &[u8] = b"\r\n.\r\n";
    let Some(content) = answer.content.as_mut().filter(|_| request.path == "/echo")
    else {
        return;
    };
    if let Some(at) = content.windows(DOT.len()).position(|window| window == DOT) {
        content.truncate(at + 2);
    }
}

/// Loses the last byte of the thousandth response on a connection.
fn tires(request: &Request<'_>, answer: &mut Answer) {
    if request.number == 1000
        && let Some(content) = &mut answer.content
    {
        content.pop();
    }
}

/// Answers 404 if the request target has an empty query, as `/plaintext?` does.
fn forgets_the_empty_query(request: &Request<'_>, answer: &mut Answer) {
    if request.query == Some("") {
        answer.status = 404;
    }
}
