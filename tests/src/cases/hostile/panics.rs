//! Requests that make the application panic.

use nix::sys::signal::Signal;

use crate::bounds::Bounds;
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{echo, get, get_and_close};
use crate::server::Server;
use crate::verdict::demand;

/// So many failures fill the pipe that nobody reads.
const MANY: usize = if cfg!(target_os = "linux") { 100 } else { 1100 };

pub(super) const CASES: &[Case] = &[
    case(
        "panics_that_nobody_reads",
        Security,
        "pipe(7); CWE-833",
        "Standard error is a pipe that nobody reads: when it is full, clients are served on, and SIGTERM ends the server",
        |ctx| {
            ctx.serve_within(&[], Bounds { unread: true, ..Bounds::default() })?;
            for _ in 0..MANY {
                ctx.get("/panic")?.is(500)?;
            }
            ctx.is_well()?;
            let server = ctx.server()?;
            server.signal(Signal::SIGTERM)?;
            let status = server.wait()?;
            demand(status.success(), "exit status 0", Server::describe(status))?;
            ctx.done_with_server();
            Ok(())
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
