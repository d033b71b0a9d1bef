//! Requests that make the application panic.

use nix::sys::signal::Signal;

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::shutdown::assert_clean_exit;
use crate::ctx::{echo, get, get_and_close};
use crate::rlimits::Rlimits;

/// Number of panics whose log lines fill the server's standard error, a pipe that is not read. On
/// Linux the suite shrinks this pipe to 4 KiB (F_SETPIPE_SZ); elsewhere the pipe holds 64 KiB.
const MANY: usize = if cfg!(target_os = "linux") { 100 } else { 1100 };

pub(super) const CASES: &[Case] = &[
    case(
        "panics_with_standard_error_full",
        Security,
        "pipe(7); CWE-833",
        "When standard error is a full pipe that is not read, clients are still served, and SIGTERM ends the server",
        |ctx| {
            let rlimits = Rlimits { stderr_unread: true, ..Rlimits::default() };
            ctx.serve_with_rlimits(&[], rlimits)?;
            for _ in 0..MANY {
                ctx.get("/panic")?.is(500)?;
            }
            ctx.assert_healthy()?;
            ctx.server()?.signal(Signal::SIGTERM)?;
            assert_clean_exit(ctx)
        },
    )
    .needs(&[Need::Plaintext, Need::Panic, Need::Process])
    .book("The contract, \"Starting and stopping\""),
    case(
        "panic_costs_one_connection",
        Contract,
        "contract, Routes",
        "A request that makes the application panic is answered with 500, and the connection closed",
        |ctx| {
            let mut client = ctx.client()?;
            client.send(get("/panic"))?;
            client.response()?.is(500)?.list_has("Connection", "close")?;
            client.assert_closed()?;
            client.close();
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_log()
    .book("The contract, \"Routes\""),
    case(
        "panic_beside_others",
        Contract,
        "contract, Routes",
        "A panic of the application does not affect other connections, five times",
        |ctx| {
            let mut other = ctx.client()?;
            for _ in 0..5 {
                let mut client = ctx.client()?;
                client.send(get("/panic"))?;
                client.response()?.is(500)?;
                client.assert_closed()?;
                other.send(echo(b"still here"))?;
                other.response()?.is(200)?.has_content("still here")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Many, Need::Panic, Need::Echo])
    .may_log()
    .book("The contract, \"Routes\""),
    case("panic_is_counted", Contract, "contract, Routes", "A panic of the application is counted in `panics`", |ctx| {
        for _ in 0..3 {
            ctx.ask(get_and_close("/panic"))?.is(500)?;
        }
        ctx.poll_until_counter("panics", 3)
    })
    .needs(&[Need::Stats, Need::Panic, Need::Process])
    .may_log()
    .book("The contract, \"Routes\""),
    case(
        "panic_in_a_burst",
        Contract,
        "contract, Routes",
        "Responses before a panic arrive; requests behind it are not answered",
        |ctx| {
            let mut client = ctx.client()?;
            client.send([get("/plaintext"), get("/panic"), get("/plaintext")].concat())?;
            client.response()?.is(200)?;
            client.response()?.is(500)?;
            client.assert_closed()
        },
    )
    .needs(&[Need::Plaintext, Need::Panic])
    .may_log()
    .book("The contract, \"Routes\""),
];
