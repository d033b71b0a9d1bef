//! Leaks: a closed connection leaves no descriptor, thread, process, or memory behind.

use std::time::Duration;

use super::{PROCESS, known};
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::{Ctx, echo, get, get_and_close, request};
use crate::fixture::pattern;
use crate::proc;
use crate::verdict::Verdict;

/// Waits until the count that `now` returns is no larger than its earlier value `before`.
fn wait_until_back(
    ctx: &mut Ctx<'_>,
    what: &str,
    before: usize,
    now: impl Fn() -> Option<usize>,
) -> Verdict {
    ctx.poll_until(&format!("{before} {what}, as before"), |_| {
        let now = known(now())?;
        Ok(if now <= before { Ok(()) } else { Err(format!("{now} {what}")) })
    })
}

/// Connects clients that behave in different ways, one after another.
fn all_kinds(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.assert_healthy()?;
    ctx.ask(get_and_close("/there-is-no-such-thing"))?.is(404)?;
    // The response to this malformed request is ignored, because other cases test the refusal.
    let _ = ctx.ask("nonsense\r\n\r\n");
    ctx.client()?.close();
    let mut half = ctx.client()?;
    half.send("GET /pl")?;
    half.reset();
    let mut burst = ctx.client()?;
    burst.send(get("/plaintext").repeat(20))?;
    burst.half_close();
    burst.read_to_end()?;
    burst.close();
    let mut file = ctx.client()?;
    file.send(get("/large.bin"))?;
    let _ = file.read_some(1000)?;
    file.reset();
    let mut bytes = ctx.client()?;
    bytes.send(get("/bytes/3000000"))?;
    bytes.close();
    ctx.ask(
        [
            request("POST", "/echo", "Connection: close\r\nContent-Length: 5\r\n"),
            b"hello".to_vec(),
        ]
        .concat(),
    )
    .map(drop)
}

pub(super) const CASES: &[Case] = &[
    case(
        "descriptors",
        Security,
        "close(2); CWE-772",
        "After clients of every kind the server has as many descriptors as before",
        |ctx| {
            for _ in 0..2 {
                all_kinds(ctx)?;
            }
            let pid = ctx.pid()?;
            // The server may not have closed the last connection yet, so take the minimum of
            // several samples.
            let mut before = known(proc::descriptors(pid))?;
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(4));
                before = before.min(known(proc::descriptors(pid))?);
            }
            for _ in 0..10 {
                all_kinds(ctx)?;
            }
            wait_until_back(ctx, "descriptors", before, || proc::descriptors(pid))
        },
    )
    .needs(PROCESS),
    case(
        "threads_and_processes",
        Security,
        "wait(2), pthread_join(3)",
        "After clients of every kind the server has no additional thread, process or zombie",
        |ctx| {
            let pid = ctx.pid()?;
            ctx.assert_healthy()?;
            for _ in 0..5 {
                all_kinds(ctx)?;
            }
            // A server with a fixed number of worker processes keeps its children; a server with a
            // thread or process for each client must have no children left.
            if ctx.profile.idle_cost().is_some() {
                wait_until_back(ctx, "children", 0, || {
                    proc::children(pid).map(|all| all.len())
                })?;
            }
            wait_until_back(ctx, "zombies", 0, || {
                proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count())
            })?;
            let threads = known(proc::threads(pid))?;
            for _ in 0..5 {
                all_kinds(ctx)?;
            }
            wait_until_back(ctx, "threads", threads, || proc::threads(pid))
        },
    )
    .needs(PROCESS),
    case(
        "zombies_without_new_clients",
        Security,
        "wait(2), SIGCHLD",
        "Child processes are reaped when they exit, not when the next client connects",
        |ctx| {
            let pid = ctx.pid()?;
            let held = hold(ctx, 10)?;
            drop(held);
            wait_until_back(ctx, "zombies", 0, || {
                proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count())
            })
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "memory_over_time",
        Security,
        "CWE-401",
        "After a thousand clients the server needs no more memory than before",
        |ctx| {
            let requests = [echo(&pattern(5000)), get("/plaintext")].concat();
            let clients = |ctx: &mut Ctx<'_>, number: usize| -> Verdict {
                for _ in 0..number {
                    let mut client = ctx.client()?;
                    client.send(&requests)?;
                    client.response()?.is(200)?;
                    client.response()?.is(200)?;
                }
                Ok(())
            };
            clients(ctx, 200)?;
            let pid = ctx.pid()?;
            let before = known(proc::memory(pid))?;
            clients(ctx, 1000)?;
            ctx.poll_until("less than 4096 KiB more than before", |_| {
                let grown = known(proc::memory(pid))?.saturating_sub(before);
                Ok(if grown < 4096 { Ok(()) } else { Err(format!("{grown} KiB more")) })
            })
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Echo]),
];
