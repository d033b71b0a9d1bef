//! SIGTERM in the middle of everything.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, get_and_close, good_order, request};
use crate::fixture::generated;
use crate::proc;
use crate::queue::unread_by_peer;
use crate::server::Server;
use crate::stage::Capability;
use crate::verdict::{Stop, Verdict, demand};

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];
const CITE: &str = "contract, Starting and stopping";

/// So long that only a wrong reason would let the server wait for it.
const NEVER: &str = "3600";

/// The server ends by itself with status 0, and leaves no process behind.
pub(super) fn ends_well(ctx: &mut Ctx<'_>) -> Verdict {
    let pid = ctx.pid()?;
    let status = ctx.server()?.wait()?;
    demand(status.success(), "exit status 0", Server::describe(status))?;
    ctx.until("no process of the server's is left", |_| match proc::group(pid) {
        Some(0) | None => Ok(Ok(())),
        Some(left) => Ok(Err(format!("{left} left"))),
    })?;
    ctx.done_with_server();
    Ok(())
}

pub(super) fn terminate(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.log.add("", crate::transcript::What::Note("sends SIGTERM".to_owned()));
    ctx.server()?.signal(Signal::SIGTERM)
}

/// SIGTERM, and the proof that the server has noticed it: nobody is let in.
/// A server that serves one client at a time looks at nothing else meanwhile,
/// and the kernel lets others in for it: there the signal alone must do.
fn terminate_and_wait_until_closed(ctx: &mut Ctx<'_>) -> Verdict {
    terminate(ctx)?;
    if !ctx.stage.has(Capability::ManyClients) {
        return Ok(());
    }
    let address = ctx.server()?.address;
    ctx.until("a server that takes no new clients", |_| {
        // Only a refusal counts: a listener whose queue is full is silent.
        let tried = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        let refused =
            tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        Ok(if refused { Ok(()) } else { Err("it still listens".to_owned()) })
    })
}

/// What has arrived is in the server's hands before the signal comes.
fn until_taken(ctx: &mut Ctx<'_>, client: &Client) -> Verdict {
    ctx.until("a server that has read what was sent", |_| {
        match unread_by_peer(&client.stream) {
            Some(0) => Ok(Ok(())),
            Some(left) => Ok(Err(format!("{left} bytes lie in the socket"))),
            None => Err(Stop::skip("this system does not tell what is unread")),
        }
    })
}

/// A begun request is finished: its rest is read, its answer says close.
fn finishes(ctx: &mut Ctx<'_>, first: &[u8], rest: &[u8], content: &str) -> Verdict {
    ctx.serve(&[("drain-timeout", NEVER)])?;
    let mut client = ctx.client()?;
    client.send(first)?;
    until_taken(ctx, &client)?;
    terminate_and_wait_until_closed(ctx)?;
    client.send(rest)?;
    let answer = client.response()?;
    answer.is(200)?.holds(content)?;
    if ctx.stage.has(Capability::ManyClients) {
        answer.names("Connection", "close")?;
    }
    client.ends()?;
    client.close();
    ends_well(ctx)
}

/// A client that could keep the server for ever keeps it until the drain deadline.
fn drained(ctx: &mut Ctx<'_>, bytes: &[u8]) -> Verdict {
    let long = [
        ("head-timeout", NEVER),
        ("body-timeout", NEVER),
        ("body-rate", "0"),
        ("write-timeout", NEVER),
    ];
    let options = [&long[..], &[("drain-timeout", "0.5")]].concat();
    ctx.serve(&options)?;
    let mut client = ctx.small_client()?;
    client.send(bytes)?;
    until_taken(ctx, &client)?;
    terminate(ctx)?;
    ends_well(ctx)?;
    client.note("had not finished");
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case("at_rest", Contract, CITE, "SIGTERM ends a server without clients: status 0", |ctx| {
        ctx.is_well()?;
        terminate(ctx)?;
        ends_well(ctx)
    })
    .needs(PROCESS),
    case("before_any_client", Contract, CITE, "SIGTERM ends a server that never had a client", |ctx| {
        ctx.server()?;
        terminate(ctx)?;
        ends_well(ctx)
    })
    .needs(PROCESS),
    case("interrupt", Contract, CITE, "SIGINT does the same", |ctx| {
        ctx.is_well()?;
        ctx.server()?.signal(Signal::SIGINT)?;
        ends_well(ctx)
    })
    .needs(PROCESS),
    case(
        "idle_client",
        Contract,
        CITE,
        "An idle connection is closed, and does not keep the server",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            terminate(ctx)?;
            client.ends()?;
            client.close();
            ends_well(ctx)
        },
    )
    .needs(PROCESS),
    case(
        "silent_client",
        Contract,
        CITE,
        "A client that never said anything (browsers open such connections) does not keep the server",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            terminate(ctx)?;
            client.is_gone()?;
            client.close();
            ends_well(ctx)
        },
    )
    .needs(PROCESS),
    case("fifty_idle_clients", Contract, CITE, "Fifty idle connections are closed", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
        let mut clients = Vec::new();
        for _ in 0..50 {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            clients.push(client);
        }
        terminate(ctx)?;
        for client in &mut clients {
            client.ends()?;
        }
        drop(clients);
        ends_well(ctx)
    })
    .clients(55)
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "while_it_sleeps",
        Contract,
        CITE,
        "An answer that comes later is still given, and says close",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            client.send(get("/sleep/2500"))?;
            until_taken(ctx, &client)?;
            terminate(ctx)?;
            client.response()?.is(200)?.names("Connection", "close")?.holds("slept 2500 ms\n")?;
            client.ends()?;
            client.close();
            ends_well(ctx)
        },
    )
    .needs(&[Need::Process, Need::Sleep]),
    case("in_a_head", Contract, CITE, "A head that has begun is read to its end and answered", |ctx| {
        let bytes = get("/plaintext");
        let (first, rest) = bytes.split_at(20);
        finishes(ctx, first, rest, "Hello, World!")
    })
    .needs(PROCESS),
    case("in_content", Contract, CITE, "Content that has begun is read to its end and answered", |ctx| {
        let head = request("POST", "/echo", "Content-Length: 5\r\n");
        finishes(ctx, &[&head[..], b"he"].concat(), b"llo", "hello")
    })
    .needs(&[Need::Process, Need::Echo]),
    case("in_chunks", Contract, CITE, "Chunks that have begun are read to their end and answered", |ctx| {
        let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
        finishes(ctx, &[&head[..], b"5\r\nhe"].concat(), b"llo\r\n0\r\n\r\n", "hello")
    })
    .needs(&[Need::Process, Need::Echo]),
    case("in_an_answer", Contract, CITE, "A long answer is sent to its end", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER)])?;
        let mut client = ctx.small_client()?;
        client.send(get("/bytes/6000000"))?;
        let _ = client.look(crate::patience::patience());
        terminate_and_wait_until_closed(ctx)?;
        client.response()?.is(200)?.holds(generated(6_000_000))?;
        client.is_gone()?;
        client.close();
        ends_well(ctx)
    })
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "asked_again_during_an_answer",
        Contract,
        CITE,
        "A long answer is sent to its end, though its client has asked for more meanwhile: a close with \
         something unread would be a reset, and cost what is still on its way",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/6000000"))?;
            let _ = client.look(crate::patience::patience());
            client.send(get("/plaintext"))?;
            terminate_and_wait_until_closed(ctx)?;
            client.response()?.is(200)?.holds(generated(6_000_000))?;
            // Whether the second is answered is a matter of who was faster, and no fault.
            good_order(client.rest()?.1)?;
            client.close();
            ends_well(ctx)
        },
    )
    .needs(&[Need::Process, Need::Bytes, Need::Plaintext]),
    case("lets_nobody_in", Contract, CITE, "While it finishes, no new client is taken", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER)])?;
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\n")?;
        until_taken(ctx, &client)?;
        terminate_and_wait_until_closed(ctx)?;
        client.reset();
        ends_well(ctx)
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "drain_deadline_in_head",
        Contract,
        CITE,
        "Half a head keeps the server until --drain-timeout, not longer",
        |ctx| drained(ctx, b"GET /plaintext HTTP/1.1\r\n"),
    )
    .needs(PROCESS),
    case(
        "drain_deadline_in_content",
        Contract,
        CITE,
        "Half a content keeps the server until --drain-timeout, not longer",
        |ctx| drained(ctx, &[&request("POST", "/echo", "Content-Length: 50\r\n")[..], b"some"].concat()),
    )
    .needs(&[Need::Process, Need::Echo]),
    case(
        "drain_deadline_sleeping",
        Contract,
        CITE,
        "A minute's sleep keeps the server until --drain-timeout, not longer",
        |ctx| drained(ctx, &get("/sleep/60000")),
    )
    .needs(&[Need::Process, Need::Sleep]),
    case(
        "drain_deadline_never_reads",
        Contract,
        CITE,
        "A client that does not read keeps the server until --drain-timeout, not longer",
        |ctx| drained(ctx, &get("/bytes/100000000")),
    )
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "drain_deadline_drips",
        Contract,
        CITE,
        "A client that drips keeps the server until --drain-timeout, not longer",
        |ctx| {
            ctx.serve(&[("head-timeout", NEVER), ("drain-timeout", "0.7")])?;
            let mut client = ctx.client()?;
            client.send("GET /plaintext HTTP/1.1\r\nX-Long: ")?;
            until_taken(ctx, &client)?;
            terminate(ctx)?;
            let cut = client.drip([b'v'; 500], 1, Duration::from_millis(50))?;
            demand(cut, "an end while the client still drips", "the client could drip on")?;
            ends_well(ctx)
        },
    )
    .needs(PROCESS),
    case(
        "lingering_client",
        Contract,
        CITE,
        "A client that is lingered on does not keep the server longer than --linger-timeout",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("linger-timeout", "0.5")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()?;
            terminate(ctx)?;
            ends_well(ctx)?;
            client.note("had kept its side open");
            Ok(())
        },
    )
    .needs(PROCESS),
];
