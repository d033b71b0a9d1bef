//! What a client leaves behind when it is gone: no descriptor, no thread, no process, no memory.

use std::time::Duration;

use super::{PROCESS, known};
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, echo, get, get_and_close, request};
use crate::fixture::pattern;
use crate::proc;
use crate::verdict::Verdict;

/// Waits until a number is back where it was.
fn until_back(
    ctx: &mut Ctx<'_>,
    what: &str,
    before: usize,
    now: impl Fn() -> Option<usize>,
) -> Verdict {
    ctx.until(&format!("{what}: {before}, as before"), |_| {
        let now = known(now())?;
        Ok(if now <= before { Ok(()) } else { Err(format!("{now} {what}")) })
    })
}

/// One client of each kind.
fn all_kinds(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.is_well()?;
    ctx.ask(get_and_close("/there-is-no-such-thing"))?.is(404)?;
    // How it is refused is the business of other cases.
    let _ = ctx.ask("nonsense\r\n\r\n");
    ctx.client()?.close();
    let mut half = ctx.client()?;
    half.send("GET /pl")?;
    half.reset();
    let mut burst = ctx.client()?;
    burst.send(get("/plaintext").repeat(20))?;
    burst.half_close();
    burst.rest()?;
    burst.close();
    let mut file = ctx.client()?;
    file.send(get("/large.bin"))?;
    let _ = file.sip(1000)?;
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
        "After every kind of client the number of descriptors is what it was",
        |ctx| {
            for _ in 0..2 {
                all_kinds(ctx)?;
            }
            let pid = ctx.pid()?;
            // The last client may not be gone yet: the least of several looks counts.
            let mut before = known(proc::descriptors(pid))?;
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(4));
                before = before.min(known(proc::descriptors(pid))?);
            }
            for _ in 0..10 {
                all_kinds(ctx)?;
            }
            until_back(ctx, "descriptors", before, || proc::descriptors(pid))
        },
    )
    .needs(PROCESS),
    case(
        "threads_and_processes",
        Security,
        "wait(2), pthread_join(3)",
        "After every kind of client no thread, process or zombie is left",
        |ctx| {
            let pid = ctx.pid()?;
            ctx.is_well()?;
            for _ in 0..5 {
                all_kinds(ctx)?;
            }
            // Workers made once are not left over: they were there before.
            if ctx.stage.cost_of_idle().is_some() {
                until_back(ctx, "children", 0, || {
                    proc::children(pid).map(|all| all.len())
                })?;
            }
            until_back(ctx, "zombies", 0, || {
                proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count())
            })?;
            let threads = known(proc::threads(pid))?;
            for _ in 0..5 {
                all_kinds(ctx)?;
            }
            until_back(ctx, "threads", threads, || proc::threads(pid))
        },
    )
    .needs(PROCESS),
    case(
        "zombies_without_new_clients",
        Security,
        "wait(2), SIGCHLD",
        "Children are reaped when they end, not when the next client comes",
        |ctx| {
            let pid = ctx.pid()?;
            let mut held = Vec::new();
            for _ in 0..10 {
                let mut client = ctx.client()?;
                client.send(get("/plaintext"))?;
                client.response()?.is(200)?;
                held.push(client);
            }
            drop(held);
            until_back(ctx, "zombies", 0, || {
                proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count())
            })
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "memory_over_time",
        Security,
        "CWE-401",
        "Two thousand clients leave no memory behind",
        |ctx| {
            for _ in 0..300 {
                ctx.is_well()?;
                ctx.ask(echo(&pattern(5000)))?.is(200)?;
            }
            let pid = ctx.pid()?;
            let before = known(proc::memory(pid))?;
            for _ in 0..1000 {
                ctx.is_well()?;
                ctx.ask(echo(&pattern(5000)))?.is(200)?;
            }
            ctx.until("less than 4096 KiB more than before", |_| {
                let grown = known(proc::memory(pid))?.saturating_sub(before);
                Ok(if grown < 4096 { Ok(()) } else { Err(format!("{grown} KiB more")) })
            })
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Echo]),
];
