//! Graceful shutdown: SIGTERM at every phase of a connection.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::case::Kind::Contract;
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::client::Client;
use crate::ctx::{Ctx, ensure_closed, get, get_and_close, request};
use crate::fixture::{generated, variant};
use crate::proc;
use crate::profile::Capability;
use crate::receive_queue::unread_by_peer;
use crate::server::Server;
use crate::verdict::{Abort, Verdict, ensure};

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];
const CITE: &str = "contract, Starting and stopping";

/// A timeout, in seconds, longer than any case lasts.
const NEVER: &str = "3600";

/// Waits until no process of the server's group is left.
pub(super) fn wait_until_no_process(ctx: &mut Ctx<'_>, pid: u32) -> Verdict {
    ctx.poll_until("no process of the server is left", |_| match proc::group(pid) {
        Some(0) | None => Ok(Ok(())),
        Some(left) => Ok(Err(format!("{left} left"))),
    })
}

/// Asserts that the server exits with status 0 and leaves no process behind.
pub(super) fn assert_clean_exit(ctx: &mut Ctx<'_>) -> Verdict {
    let pid = ctx.pid()?;
    let status = ctx.server()?.wait()?;
    ensure(status.success(), "exit status 0", Server::describe_exit(status))?;
    wait_until_no_process(ctx, pid)?;
    ctx.forget_server();
    Ok(())
}

pub(super) fn terminate(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.log.add("", crate::transcript::EventKind::Note("sends SIGTERM".to_owned()));
    ctx.server()?.signal(Signal::SIGTERM)
}

/// Sends SIGTERM and waits until the server refuses connections: the refusal proves that the server
/// has handled the signal.
///
/// A server that serves one client at a time handles the signal only after the present client has
/// left, and until then the kernel completes connections; for such a server the function returns at
/// once.
fn terminate_and_wait_until_closed(ctx: &mut Ctx<'_>) -> Verdict {
    terminate(ctx)?;
    if !ctx.profile.has(Capability::ManyClients) {
        return Ok(());
    }
    let address = ctx.server()?.address;
    ctx.poll_until("the server refuses new connections", |_| {
        // Only a refused connection proves that the listener is closed. An attempt that times out
        // does not: a listener whose accept queue is full does not respond either.
        let tried = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        let refused =
            tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        Ok(if refused { Ok(()) } else { Err("it is still listening".to_owned()) })
    })
}

/// Waits until the server has read everything that the client has sent. Skips the case if the
/// system does not report the number of unread bytes.
fn wait_until_server_read(ctx: &mut Ctx<'_>, client: &Client) -> Verdict {
    ctx.poll_until("the server has read everything that was sent", |_| {
        match unread_by_peer(&client.stream) {
            Some(0) => Ok(Ok(())),
            Some(left) => Ok(Err(format!("{left} bytes are unread"))),
            None if cfg!(target_os = "linux") => {
                Err(Abort::skip("the server's end of the connection is gone"))
            }
            None => Err(Abort::skip("this system does not report how much is unread")),
        }
    })
}

/// Asserts that a request that has begun before SIGTERM is read to its end and answered with
/// `Connection: close`.
fn assert_finished(
    ctx: &mut Ctx<'_>,
    first: &[u8],
    rest: &[u8],
    content: &str,
) -> Verdict {
    ctx.serve(&[("drain-timeout", NEVER)])?;
    let mut client = ctx.client()?;
    client.send(first)?;
    wait_until_server_read(ctx, &client)?;
    terminate_and_wait_until_closed(ctx)?;
    client.send(rest)?;
    let answer = client.response()?;
    answer.is(200)?.has_content(content)?;
    if ctx.profile.has(Capability::ManyClients) {
        answer.list_has("Connection", "close")?;
    }
    client.assert_closed()?;
    client.close();
    assert_clean_exit(ctx)
}

/// Asserts that a client that would block the shutdown forever blocks it only until
/// `--drain-timeout` has passed.
fn assert_exits_at_drain_deadline(ctx: &mut Ctx<'_>, bytes: &[u8]) -> Verdict {
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
    wait_until_server_read(ctx, &client)?;
    terminate(ctx)?;
    assert_clean_exit(ctx)?;
    client.note("was not finished");
    Ok(())
}

pub(super) const CASES: &[Case] = &[
    case("at_rest", Contract, CITE, "SIGTERM stops a server without clients, with status 0", |ctx| {
        ctx.assert_healthy()?;
        terminate(ctx)?;
        assert_clean_exit(ctx)
    })
    .needs(PROCESS),
    case("before_any_client", Contract, CITE, "SIGTERM stops a server that has never had a client", |ctx| {
        ctx.server()?;
        terminate(ctx)?;
        assert_clean_exit(ctx)
    })
    .needs(PROCESS),
    case("interrupt", Contract, CITE, "SIGINT stops a server without clients, with status 0", |ctx| {
        ctx.assert_healthy()?;
        ctx.server()?.signal(Signal::SIGINT)?;
        assert_clean_exit(ctx)
    })
    .needs(PROCESS),
    case(
        "idle_client",
        Contract,
        CITE,
        "At SIGTERM an idle connection is closed and does not delay the exit",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            terminate(ctx)?;
            client.assert_closed()?;
            client.close();
            assert_clean_exit(ctx)
        },
    )
    .needs(PROCESS),
    case(
        "silent_client",
        Contract,
        CITE,
        "At SIGTERM a client that has sent nothing is closed and does not delay the exit (browsers open such connections)",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            terminate(ctx)?;
            client.assert_disconnected()?;
            client.close();
            assert_clean_exit(ctx)
        },
    )
    .needs(PROCESS),
    case("fifty_idle_clients", Contract, CITE, "At SIGTERM fifty idle connections are closed", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?;
        let mut clients = hold(ctx, 50)?;
        terminate(ctx)?;
        for client in &mut clients {
            client.assert_closed()?;
        }
        drop(clients);
        assert_clean_exit(ctx)
    })
    .clients(55)
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "while_it_sleeps",
        Contract,
        CITE,
        "After SIGTERM a sleeping response is still sent, with Connection: close",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            client.send(get("/sleep/2500"))?;
            wait_until_server_read(ctx, &client)?;
            terminate(ctx)?;
            client.response()?.is(200)?.list_has("Connection", "close")?.has_content("slept 2500 ms\n")?;
            client.assert_closed()?;
            client.close();
            assert_clean_exit(ctx)
        },
    )
    .lasts(3)
    .needs(&[Need::Process, Need::Sleep]),
    case("in_a_head", Contract, CITE, "After SIGTERM a head that has begun is read to its end and answered", |ctx| {
        let bytes = get("/plaintext");
        let (first, rest) = bytes.split_at(variant().cut(20, bytes.len()));
        assert_finished(ctx, first, rest, "Hello, World!")
    })
    .needs(PROCESS),
    case("in_content", Contract, CITE, "After SIGTERM content that has begun is read to its end and answered", |ctx| {
        let head = request("POST", "/echo", "Content-Length: 5\r\n");
        assert_finished(ctx, &[&head[..], b"he"].concat(), b"llo", "hello")
    })
    .needs(&[Need::Process, Need::Echo]),
    case("in_chunks", Contract, CITE, "After SIGTERM chunked content that has begun is read to its end and answered", |ctx| {
        let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
        assert_finished(ctx, &[&head[..], b"5\r\nhe"].concat(), b"llo\r\n0\r\n\r\n", "hello")
    })
    .needs(&[Need::Process, Need::Echo]),
    case("in_an_answer", Contract, CITE, "After SIGTERM a long response is sent to its end", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER)])?;
        let mut client = ctx.client_for_much()?;
        client.send(get("/bytes/6000000"))?;
        let _ = client.peek(crate::timeout::timeout());
        terminate_and_wait_until_closed(ctx)?;
        client.response()?.is(200)?.has_content(generated(6_000_000))?;
        client.assert_disconnected()?;
        client.close();
        assert_clean_exit(ctx)
    })
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "asked_again_during_an_answer",
        Contract,
        CITE,
        "After SIGTERM a long response is sent to its end, though the client has sent another request: closing \
        with that unread would send a reset and destroy the response",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.client_for_much()?;
            client.send(get("/bytes/6000000"))?;
            let _ = client.peek(crate::timeout::timeout());
            client.send(get("/plaintext"))?;
            terminate_and_wait_until_closed(ctx)?;
            client.response()?.is(200)?.has_content(generated(6_000_000))?;
            // The server may read the second request before or after it handles SIGTERM, so it may
            // answer this request or not.
            ensure_closed(client.read_to_end()?.1)?;
            client.close();
            assert_clean_exit(ctx)
        },
    )
    .needs(&[Need::Process, Need::Bytes, Need::Plaintext]),
    case("stops_accepting", Contract, CITE, "After SIGTERM no new client is accepted while open connections finish", |ctx| {
        ctx.serve(&[("drain-timeout", NEVER)])?;
        let mut client = ctx.client()?;
        client.send("GET /plaintext HTTP/1.1\r\n")?;
        wait_until_server_read(ctx, &client)?;
        terminate_and_wait_until_closed(ctx)?;
        client.reset();
        assert_clean_exit(ctx)
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case(
        "drain_deadline_in_head",
        Contract,
        CITE,
        "Half a head delays the exit until --drain-timeout, not longer",
        |ctx| assert_exits_at_drain_deadline(ctx, b"GET /plaintext HTTP/1.1\r\n"),
    )
    .needs(PROCESS),
    case(
        "drain_deadline_in_content",
        Contract,
        CITE,
        "Half a content delays the exit until --drain-timeout, not longer",
        |ctx| assert_exits_at_drain_deadline(ctx, &[&request("POST", "/echo", "Content-Length: 50\r\n")[..], b"some"].concat()),
    )
    .needs(&[Need::Process, Need::Echo]),
    case(
        "drain_deadline_sleeping",
        Contract,
        CITE,
        "A response that sleeps for a minute delays the exit until --drain-timeout, not longer",
        |ctx| assert_exits_at_drain_deadline(ctx, &get("/sleep/60000")),
    )
    .needs(&[Need::Process, Need::Sleep]),
    case(
        "drain_deadline_never_reads",
        Contract,
        CITE,
        "A client that does not read delays the exit until --drain-timeout, not longer",
        |ctx| assert_exits_at_drain_deadline(ctx, &get("/bytes/100000000")),
    )
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "drain_deadline_drips",
        Contract,
        CITE,
        "A client that sends a byte at a time delays the exit until --drain-timeout, not longer",
        |ctx| {
            ctx.serve(&[("head-timeout", NEVER), ("drain-timeout", "0.7")])?;
            let mut client = ctx.client()?;
            client.send("GET /plaintext HTTP/1.1\r\nX-Long: ")?;
            wait_until_server_read(ctx, &client)?;
            terminate(ctx)?;
            let cut = client.drip_until_timeout([b'v'; 500], 1, Duration::from_millis(50))?;
            ensure(cut, "the end of the connection before the client has sent its last byte", "the connection was still open after the last byte")?;
            assert_clean_exit(ctx)
        },
    )
    .needs(PROCESS),
    case(
        "lingering_client",
        Contract,
        CITE,
        "A lingering close does not delay the exit longer than --linger-timeout",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER), ("linger-timeout", "0.5")])?;
            let mut client = ctx.client()?;
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.assert_closed()?;
            terminate(ctx)?;
            assert_clean_exit(ctx)?;
            client.note("never closed its side");
            Ok(())
        },
    )
    .needs(PROCESS),
];
