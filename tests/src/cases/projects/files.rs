//! Files that do not block the loop: an event loop hands every file to helper threads, and answers
//! when a helper has read it.
//!
//! A lease on a file stands for a slow disk: `open(2)` blocks until the suite releases the lease
//! (see `files/cold.rs`). The loop goes on meanwhile, no client is refused, and `--file-threads`
//! bounds the helpers. Slow *reads* cannot be produced without a file system of one's own, so only
//! the opening is judged.

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::files::cold::{asks, cold};
use crate::cases::files::{own_root, write};
use crate::cases::many::round_trip;
use crate::cases::resources::known;
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::fixture::generated;
use crate::proc;
use crate::verdict::{CaseResult, Verdict, ensure};

const NEEDS: &[Need] = &[Need::Files, Need::Plaintext, Need::Process];
const CITE: &str = "project, Files that do not block the loop";

/// The number of helper threads in most cases. More clients than that, [`CLIENTS`], ask for files
/// that take long to open.
const HELPERS: usize = 4;
const CLIENTS: usize = 12;

fn serve(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.serve(&[("file-threads", &HELPERS.to_string())])
}

/// Asserts that a client has received nothing while another client completes fifty round trips.
fn assert_waits(client: &mut Client, busy: &mut Client) -> Verdict {
    for _ in 0..50 {
        round_trip(busy)?;
        client.assert_no_data("its file cannot be opened yet")?;
    }
    Ok(())
}

/// Returns the number of threads and child processes of the server.
fn tasks(ctx: &mut Ctx<'_>) -> CaseResult<usize> {
    let pid = ctx.pid()?;
    let children = proc::children(pid).map(|all| all.len());
    known(proc::threads(pid).zip(children).map(|(threads, children)| threads + children))
}

pub(super) const CASES: &[Case] = &[
    case(
        "slow_files_are_served",
        Contract,
        CITE,
        "A file that can be opened late is answered with 200 and its content, late: no client is refused",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold at first")?;
            serve(ctx)?;
            let mut busy = ctx.client()?;
            let mut waiting = Vec::new();
            for _ in 0..CLIENTS {
                waiting.push(asks(ctx, "/cold.txt")?);
            }
            for client in &mut waiting {
                assert_waits(client, &mut busy)?;
            }
            drop(held);
            for client in &mut waiting {
                client.response()?.is(200)?.has_content("cold at first")?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(CLIENTS + 1),
    case(
        "the_loop_goes_on",
        Contract,
        CITE,
        "While more clients wait for files than there are helpers, other clients come, are served, and go",
        |ctx| {
            let base = own_root(ctx)?;
            let mut held = Vec::new();
            for number in 0..CLIENTS {
                held.push(cold(ctx, &format!("cold-{number}.txt"), &format!("number {number}"))?);
            }
            serve(ctx)?;
            let mut waiting = Vec::new();
            for number in 0..CLIENTS {
                waiting.push(asks(ctx, &format!("/cold-{number}.txt"))?);
            }
            for _ in 0..CLIENTS {
                round_trip(&mut ctx.client()?)?;
            }
            ctx.get("/bytes/100000")?.is(200)?.has_content(generated(100_000))?;
            drop(held);
            for (number, client) in waiting.iter_mut().enumerate() {
                client.response()?.is(200)?.has_content(format!("number {number}"))?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(&[Need::Files, Need::Plaintext, Need::Bytes, Need::Process])
    .clients(2 * CLIENTS),
    case(
        "a_free_helper_serves",
        Contract,
        CITE,
        "While one helper less than all waits for a file, another file is served",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            write(ctx, b"warm.txt", b"warm")?;
            serve(ctx)?;
            let mut waiting = Vec::new();
            for _ in 1..HELPERS {
                waiting.push(asks(ctx, "/cold.txt")?);
            }
            for _ in 0..10 {
                ctx.get("/warm.txt")?.is(200)?.has_content("warm")?;
            }
            drop(held);
            for client in &mut waiting {
                client.response()?.is(200)?.has_content("cold")?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(HELPERS + 1),
    case(
        "helpers_are_bounded",
        Contract,
        CITE,
        "Clients that wait for files cost at most --file-threads threads or processes",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            serve(ctx)?;
            let mut busy = ctx.client()?;
            round_trip(&mut busy)?;
            let before = tasks(ctx)?;
            let mut waiting = Vec::new();
            for _ in 0..CLIENTS {
                let mut client = asks(ctx, "/cold.txt")?;
                assert_waits(&mut client, &mut busy)?;
                waiting.push(client);
            }
            let now = tasks(ctx)?;
            ensure(
                now <= before + HELPERS,
                format!("at most {HELPERS} more threads or processes than the {before} before"),
                format!("{now} while {CLIENTS} clients wait for a file"),
            )?;
            drop(held);
            for client in &mut waiting {
                client.response()?.is(200)?.has_content("cold")?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(CLIENTS + 1),
    case(
        "answers_stay_in_order",
        Contract,
        CITE,
        "Requests pipelined behind one for a slow file are answered after it, in their order",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            write(ctx, b"warm.txt", b"warm")?;
            serve(ctx)?;
            let mut busy = ctx.client()?;
            let mut client = ctx.client()?;
            client.send(
                [get("/warm.txt"), get("/cold.txt"), get("/warm.txt"), get("/plaintext")].concat(),
            )?;
            client.response()?.is(200)?.has_content("warm")?;
            assert_waits(&mut client, &mut busy)?;
            drop(held);
            for content in ["cold", "warm", "Hello, World!"] {
                client.response()?.is(200)?.has_content(content)?;
            }
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(2),
    case(
        "clients_that_left_cost_nothing",
        Contract,
        CITE,
        "Clients that leave while they wait for a file cost no descriptor, and no other client gets their file",
        |ctx| {
            let base = own_root(ctx)?;
            let held = cold(ctx, "cold.txt", "cold")?;
            serve(ctx)?;
            let mut busy = ctx.client()?;
            round_trip(&mut busy)?;
            let pid = ctx.pid()?;
            let before = proc::descriptors(pid);
            let mut left = Vec::new();
            for _ in 0..CLIENTS {
                left.push(asks(ctx, "/cold.txt")?);
            }
            left.into_iter().for_each(Client::reset);
            let mut new = Vec::new();
            for _ in 0..CLIENTS {
                let mut client = ctx.client()?;
                round_trip(&mut client)?;
                new.push(client);
            }
            drop(held);
            for client in &mut new {
                for _ in 0..3 {
                    round_trip(client)?;
                }
            }
            new.into_iter().for_each(Client::close);
            ctx.poll_until("as many descriptors as before", |_| {
                let now = proc::descriptors(pid);
                let fine = now <= before;
                Ok(if fine { Ok(()) } else { Err(format!("{now:?}, before {before:?}")) })
            })?;
            drop(base);
            Ok(())
        },
    )
    .needs(NEEDS)
    .clients(2 * CLIENTS),
];
