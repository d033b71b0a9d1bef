//! Starting the server, and stopping and continuing its process.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::cases::many::hold;
use crate::ctx::{Ctx, echo, get, get_and_close};
use crate::fixture::{generated, pattern, variant};
use crate::port::free_port;
use crate::proc;
use crate::response::Response;
use crate::rlimits::Rlimits;
use crate::server::fail_to_start;
use crate::target::{binary, unprivileged};
use crate::verdict::{Abort, CaseResult, Verdict, ensure};
use std::os::unix::fs::PermissionsExt as _;

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];

/// Asserts that the program, started with the arguments `args`, fails with a message on standard
/// error.
fn fails_to_start(ctx: &mut Ctx<'_>, args: &[&str]) -> Verdict {
    fails_within(ctx, args, Rlimits::default()).map(drop)
}

/// Asserts that the program, started with the arguments `args` and the limits `rlimits`, fails with
/// a message on standard error. Returns the message.
fn fails_within(
    ctx: &mut Ctx<'_>,
    args: &[&str],
    rlimits: Rlimits,
) -> CaseResult<String> {
    let (status, stdout, stderr) = fail_to_start(binary(ctx.target)?, args, rlimits)?;
    ensure(!status.success(), "a status other than 0", format!("{status}"))?;
    ensure(stdout.is_empty(), "nothing on standard output", stdout)?;
    ensure(!stderr.trim().is_empty(), "a line on standard error", "nothing")?;
    ensure(!stderr.contains("panicked"), "an error message, not a panic", &stderr)?;
    Ok(stderr)
}

/// Asserts that the program, started with the arguments `args` and the limits `rlimits`, fails with
/// a message of one line on standard error.
fn fails_in_one_line(ctx: &mut Ctx<'_>, args: &[&str], rlimits: Rlimits) -> Verdict {
    let stderr = fails_within(ctx, args, rlimits)?;
    ensure(stderr.trim_end().lines().count() == 1, "one line on standard error", stderr)
}

/// Continues a stopped server (SIGCONT).
pub(super) fn thaw(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.server()?.signal_all(Signal::SIGCONT)
}

/// Stops all processes of the server (SIGSTOP), and waits until they have stopped.
pub(super) fn freeze(ctx: &mut Ctx<'_>) -> Verdict {
    let pid = ctx.pid()?;
    ctx.server()?.signal_all(Signal::SIGSTOP)?;
    ctx.poll_until("a stopped server", |_| {
        let Some(parent) = proc::stopped(pid) else {
            return Err(proc::unreported());
        };
        let children = proc::children(pid).unwrap_or_default();
        let still = |child: &proc::Child| proc::stopped(child.pid).unwrap_or(true);
        let all = parent && children.iter().all(|child| child.zombie || still(child));
        Ok(if all { Ok(()) } else { Err("it is running".to_owned()) })
    })
}

/// The server's timeouts in the cases that freeze its process with SIGSTOP, in seconds.
const DEADLINE: &str = "2";
const BEYOND_IT: Duration = Duration::from_millis(2200);

/// Sends one part of a request, stops the server's process, sends the rest, and continues the
/// process after [`DEADLINE`] has passed. The client has then sent everything in time, although the
/// server reads the rest late. Returns the response.
fn stopped_beyond_a_deadline(
    ctx: &mut Ctx<'_>,
    options: &[(&str, &str)],
    (first, rest): (&[u8], &[u8]),
) -> CaseResult<Response> {
    // If the machine is so busy that the deadline may pass before the process is stopped, the
    // attempt proves nothing, and the server is started again for another attempt.
    for _ in 0..5 {
        ctx.serve(options)?;
        let mut client = ctx.client()?;
        let start = Instant::now();
        client.send(first)?;
        client.wait_until_read();
        freeze(ctx)?;
        if start.elapsed() > BEYOND_IT / 2 {
            continue;
        }
        client.send(rest)?;
        thread::sleep(BEYOND_IT);
        thaw(ctx)?;
        return client.response();
    }
    Err(Abort::skip("the machine is too busy"))
}

pub(super) const CASES: &[Case] = &[
    case(
        "says_one_line",
        Contract,
        "contract, Starting and stopping",
        "The server prints the single line `listening on http://…`, whatever the clients do",
        |ctx| {
            binary(ctx.target)?;
            ctx.assert_healthy()?;
            ctx.assert_refused("nonsense\r\n\r\n", 400)?;
            let address = ctx.server()?.address;
            let stdout = ctx.server()?.stdout();
            ensure(
                stdout == format!("listening on http://{address}\n"),
                format!("listening on http://{address}"),
                stdout,
            )
        },
    )
    .needs(PROCESS),
    case(
        "port_in_use",
        Contract,
        "bind(2), EADDRINUSE",
        "With a port in use the server prints one line on standard error and exits with a status other than 0",
        |ctx| {
            ctx.assert_healthy()?;
            let address = ctx.server()?.address.to_string();
            let root = ctx.root.display().to_string();
            fails_in_one_line(ctx, &["--listen", &address, "--root", &root], Rlimits::default())?;
            ctx.assert_healthy()
        },
    )
    .needs(PROCESS),
    case(
        "no_such_root",
        Contract,
        "open(2), ENOENT",
        "With a missing root the server prints one line on standard error and exits with a status other than 0",
        |ctx| {
            let root = "/there/is/no/such/directory";
            fails_in_one_line(ctx, &["--listen", "127.0.0.1:0", "--root", root], Rlimits::default())
        },
    )
    .needs(PROCESS),
    case(
        "unreadable_root",
        Contract,
        "open(2), EACCES",
        "With a root that it may not read, or not search, the server prints one line on standard error and exits with a status other than 0",
        |ctx| {
            let (_kept, own) = unprivileged(ctx.target)?;
            let root = tempfile::tempdir().map_err(|error| Abort::skip(error.to_string()))?;
            let mut other = Ctx::new(&own, ctx.profile, root.path().to_owned());
            let path = root.path().display().to_string();
            let user = Rlimits { permissions: true, ..Rlimits::default() };
            let set_mode = |mode| {
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(root.path(), mode).map_err(|error| Abort::skip(error.to_string()))
            };
            // Each mode lacks a permission on the directory: to read it (list its names), to search
            // it (open its files), or both.
            let judged = [0o644, 0o311, 0o200].into_iter().try_for_each(|mode| {
                set_mode(mode)?;
                fails_in_one_line(&mut other, &["--listen", "127.0.0.1:0", "--root", &path], user)
            });
            set_mode(0o755)?; // dropping `root` needs these permissions to delete the directory
            judged
        },
    )
    .needs(PROCESS),
    case(
        "unknown_option",
        Contract,
        "contract, Starting and stopping",
        "With an unknown option the server prints a message and exits with a status other than 0",
        |ctx| fails_to_start(ctx, &["--listen", "127.0.0.1:0", "--no-such-option", "1"]),
    )
    .needs(PROCESS),
    case(
        "option_is_no_number",
        Contract,
        "contract, Limits",
        "With an invalid or negative time the server prints a message and exits with a status other than 0",
        |ctx| {
            let root = ctx.root.display().to_string();
            for value in ["soon", "-1", "nan"] {
                fails_to_start(
                    ctx,
                    &["--listen", "127.0.0.1:0", "--root", &root, &format!("--idle-timeout={value}")],
                )?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "no_room_for_answers",
        Contract,
        "contract, Limits",
        "With --max-output 0 the server still answers pipelined requests",
        |ctx| {
            ctx.serve(&[("max-output", "0")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext").repeat(3))?;
            for _ in 0..3 {
                client.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "starts_again_at_once",
        Contract,
        "socket(7), SO_REUSEADDR",
        "The server can be restarted on its port immediately, though old connections are still in TIME_WAIT",
        |ctx| {
            binary(ctx.target)?; // only a program's own options name its address
            // While no server listens on it, the kernel may give a port of its ephemeral range to any
            // client or server. So the port is one below that range.
            let address = format!("127.0.0.1:{}", free_port()?);
            ctx.serve(&[("listen", &address)])?;
            let mut client = ctx.client()?;
            // The server closes the connection first, so that the connection is in the state
            // TIME_WAIT on the server's port.
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.assert_closed()?;
            client.close();
            ctx.server()?.signal(Signal::SIGTERM)?;
            ctx.server()?.wait()?;
            ctx.serve(&[("listen", &address)])
        },
    )
    .needs(PROCESS),
    case(
        "listens_when_it_says_so",
        Contract,
        "listen(2)",
        "Once the line is printed the server accepts clients, in ten starts out of ten",
        |ctx| {
            for _ in 0..10 {
                ctx.serve(&[])?;
                ctx.assert_healthy()?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "frozen_and_thawed",
        Contract,
        "signal(7), SIGSTOP",
        "Clients that connect while the server is stopped (SIGSTOP) are served when it continues",
        |ctx| {
            ctx.assert_healthy()?;
            freeze(ctx)?;
            let mut clients = Vec::new();
            for _ in 0..10 {
                let mut client = ctx.client()?;
                client.send(get_and_close("/plaintext"))?;
                client.half_close();
                clients.push(client);
            }
            for client in &mut clients {
                client.assert_no_data("the server is stopped")?;
            }
            thaw(ctx)?;
            for mut client in clients {
                client.response()?.is(200)?.has_content("Hello, World!")?;
                client.assert_closed()?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "frozen_and_replaced",
        Contract,
        "fcntl(2), F_SETSIG; epoll(7)",
        "A late event of a closed connection does not close the connection that reuses its descriptor",
        |ctx| {
            let mut leaves = ctx.client()?;
            leaves.send(get("/plaintext"))?;
            leaves.response()?.is(200)?;
            let mut held = hold(ctx, 250)?;
            freeze(ctx)?;
            leaves.half_close();
            // 100 new clients connect: no more than the backlog of any server holds.
            let mut comers = Vec::new();
            for _ in 0..100 {
                comers.push(ctx.client()?);
            }
            // The requests of the clients `held` cause more events than a server fetches with one
            // wait. The last event is the reset by the client `leaves`.
            for _ in 0..2 {
                for client in &mut held {
                    client.send(get("/plaintext"))?;
                }
            }
            leaves.reset();
            thaw(ctx)?;
            ctx.assert_healthy()?;
            for comer in &mut comers {
                comer.send(get("/plaintext"))?;
                comer.response()?.is(200)?.has_content("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .level(3),
    case(
        "frozen_in_a_head",
        Contract,
        "signal(7), SIGSTOP; RFC 9110 §15.5.9",
        "A head that is complete in time is answered, though the server stood still beyond --head-timeout",
        |ctx| {
            let request = get("/plaintext");
            let parts = request.split_at(variant().cut(request.len() / 2, request.len()));
            stopped_beyond_a_deadline(ctx, &[("head-timeout", DEADLINE)], parts)?
                .is(200)?
                .has_content("Hello, World!")
                .map(drop)
        },
    )
    .needs(PROCESS),
    case(
        "frozen_in_a_content",
        Contract,
        "signal(7), SIGSTOP; RFC 9110 §15.5.9",
        "… and so is a content, though it takes several reads and the server stood still beyond --body-timeout",
        |ctx| {
            let content = pattern(100_000);
            let request = echo(&content);
            let parts = request.split_at(request.len() - 60_000);
            stopped_beyond_a_deadline(ctx, &[("body-timeout", DEADLINE)], parts)?
                .is(200)?
                .has_content(&content)
                .map(drop)
        },
    )
    .needs(&[Need::Process, Need::Echo]),
    case(
        "frozen_in_an_answer",
        Contract,
        "signal(7), SIGCONT; EINTR",
        "A response that was interrupted by SIGSTOP and SIGCONT arrives whole",
        |ctx| {
            let mut client = ctx.client_for_much()?;
            client.send(get("/bytes/5000000"))?;
            let _ = client.peek(crate::timeout::timeout());
            freeze(ctx)?;
            thaw(ctx)?;
            client.response()?.is(200)?.has_content(generated(5_000_000)).map(drop)
        },
    )
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "goes_on_after_everything",
        Security,
        "contract, Starting and stopping",
        "After refusals of every kind the server still works",
        |ctx| {
            let requests: [&[u8]; 6] = [
                b"nonsense\r\n\r\n",
                b"GET / HTTP/3.0\r\nHost: suite\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
                b"POST /echo HTTP/1.1\r\nHost: suite\r\nContent-Length: x\r\n\r\n",
                b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
                b"GET /% HTTP/1.1\r\nHost: suite\r\n\r\n",
            ];
            for bytes in requests.iter().cycle().take(120) {
                const REFUSAL: &str = "a refusal, status 400 or above";
                let answer = ctx.ask(bytes).map_err(|stop| stop.expecting(REFUSAL))?;
                ensure(answer.status >= 400, REFUSAL, format!("status {}", answer.status))?;
            }
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "answers_while_refusing",
        Contract,
        "contract, Starting and stopping",
        "Valid and malformed requests on the same connections each get their own response",
        |ctx| {
            for _ in 0..50 {
                let mut client = ctx.client()?;
                client.send([get("/plaintext"), b"bad\r\n\r\n".to_vec()].concat())?;
                client.response()?.is(200)?;
                client.response()?.is(400)?;
                client.close();
            }
            ctx.assert_healthy()
        },
    )
    .needs(&[Need::Plaintext]),
];
