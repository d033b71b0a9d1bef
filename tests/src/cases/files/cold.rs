//! Files that cannot be opened for a while, as on a slow disk: the suite holds a lease on each
//! file.
//!
//! An `open(2)` that may block waits until the lease is released, and one with `O_NONBLOCK` fails.
//! A server may use either, and respond with 200 later or with 503 at once; but it must not make
//! other clients wait, mix up responses, or lose a response.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::thread;

use super::{own_root, write};
use crate::case::Kind::{Book, Security};
use crate::case::{Case, Need, case};
use crate::cases::many::round_trip;
use crate::cases::shutdown::{assert_clean_exit, terminate};
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::sys::lease;
use crate::verdict::{Abort, CaseResult, Verdict};

const NEEDS: &[Need] = &[Need::Files, Need::Plaintext, Need::Process, Need::Many];
const CITE: &str = "fcntl(2), F_SETLEASE; open(2), O_NONBLOCK";
/// Number of clients: more than a server has workers for files, and few enough for a server that
/// has a worker for each client.
const CLIENTS: usize = 12;
/// Maximum number of repeated attempts to lease a file.
const TRIES: usize = 100_000;

/// Creates a file, and holds a lease on it until the returned file is closed.
///
/// The kernel refuses the lease with EAGAIN while the file has another open descriptor. The content
/// was written through one, and a child process that another case is starting may have inherited
/// it; the child holds it until it calls exec. So the function tries again, up to [`TRIES`] times.
pub(in crate::cases) fn cold(
    ctx: &Ctx<'_>,
    name: &str,
    content: &str,
) -> CaseResult<File> {
    if !cfg!(target_os = "linux") {
        return Err(Abort::skip("this system leases no files"));
    }
    write(ctx, name.as_bytes(), content.as_bytes())?;
    let failed = |error: Error| Abort::skip(format!("cannot lease a file: {error}"));
    let file = File::open(ctx.root.join(name)).map_err(failed)?;
    for _ in 0..TRIES {
        match lease(&file) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            leased => return leased.map(|()| file).map_err(failed),
        }
    }
    lease(&file).map(|()| file).map_err(failed)
}

/// Connects a client that requests `target`, and waits until the server has read the request.
pub(in crate::cases) fn asks(ctx: &mut Ctx<'_>, target: &str) -> CaseResult<Client> {
    let mut client = ctx.client()?;
    client.send(get(target))?;
    client.wait_until_read();
    Ok(client)
}

/// Asserts that the response is the file's content, or 503 because the file is not available.
fn is_content_or_503(client: &mut Client, content: &str) -> Verdict {
    let response = client.response()?;
    if response.one_of(&[200, 503])?.status == 200 {
        response.has_content(content)?;
    }
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case(
        "cold_file_delays_nobody_else",
        Security,
        CITE,
        "While a file cannot be opened, clients that ask for something else are served",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            let mut waiting = Vec::new();
            for _ in 0..CLIENTS {
                waiting.push(asks(ctx, "/cold.txt")?);
            }
            for _ in 0..CLIENTS {
                round_trip(&mut ctx.client()?)?;
            }
            drop(held);
            waiting.iter_mut().try_for_each(|client| is_content_or_503(client, "cold"))?;
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(2 * CLIENTS)
    .level(3)
    .book("Chapter 5, \"What is left\""),
    case(
        "cold_file_of_one_that_left",
        Security,
        CITE,
        "A file that can be opened at last is not sent to the next client, who has the descriptor of the one that left",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            ctx.serve(&[])?;
            let mut old = Vec::new();
            for _ in 0..CLIENTS {
                old.push(asks(ctx, "/cold.txt")?);
            }
            let mut stays = asks(ctx, "/cold.txt")?;
            old.into_iter().for_each(Client::reset);
            let mut new = Vec::new();
            for _ in 0..CLIENTS {
                let mut client = ctx.client()?;
                round_trip(&mut client)?;
                new.push(client);
            }
            drop(held);
            is_content_or_503(&mut stays, "cold")?;
            for client in &mut new {
                client.send(get("/file.txt"))?;
                client.response()?.is(200)?.has_content("bytes")?;
                round_trip(client)?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(3 * CLIENTS)
    .level(3)
    .book("Chapter 5, \"Exercises\""),
    case(
        "cold_files_all_at_once",
        Book,
        CITE,
        "Files that can all be opened in the same moment are all sent, each to the client that asked for it",
        |ctx| {
            let base = own_root(ctx)?;
            let names: Vec<String> = (0..CLIENTS).map(|n| format!("cold-{n}.txt")).collect();
            let held: Vec<File> =
                names.iter().map(|name| cold(ctx, name, name)).collect::<CaseResult<_>>()?;
            let mut waiting = Vec::new();
            for name in &names {
                waiting.push(asks(ctx, &format!("/{name}"))?);
            }
            drop(held);
            for (client, name) in waiting.iter_mut().zip(&names) {
                is_content_or_503(client, name)?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(CLIENTS)
    .level(3)
    .book("Chapter 5, \"Exercises\""),
    case(
        "stop_before_a_cold_file",
        Book,
        CITE,
        "A server that waits for a file stops at --drain-timeout, with status 0",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            ctx.serve(&[("drain-timeout", "0.5")])?;
            let client = asks(ctx, "/cold.txt")?;
            terminate(ctx)?;
            assert_clean_exit(ctx)?;
            client.close();
            drop((held, base));
            Ok(())
        },
    )
    .needs(NEEDS)
    .level(3)
    .book("Chapter 5, \"Exercises\""),
];
