//! Starting, standing still, going on.

use nix::sys::signal::Signal;

use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::ctx::{Ctx, get, get_and_close};
use crate::fixture::generated;
use crate::proc;
use crate::server::run_to_end;
use crate::target::program;
use crate::verdict::{Stop, Verdict, demand};

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];

/// Starting the program like this fails, and says why.
fn fails_to_start(ctx: &mut Ctx<'_>, args: &[&str]) -> Verdict {
    let (status, stdout, stderr) = run_to_end(program(ctx.target)?, args)?;
    demand(!status.success(), "a status other than 0", format!("{status}"))?;
    demand(stdout.is_empty(), "nothing on standard output", stdout)?;
    demand(!stderr.trim().is_empty(), "a line on standard error", "nothing")?;
    demand(!stderr.contains("panicked"), "a message for people", &stderr)
}

/// The same, in one line.
fn fails_in_one_line(ctx: &mut Ctx<'_>, args: &[&str]) -> Verdict {
    fails_to_start(ctx, args)?;
    let (_, _, stderr) = run_to_end(program(ctx.target)?, args)?;
    demand(stderr.trim_end().lines().count() == 1, "one line on standard error", stderr)
}

/// Stops the server, all its processes, and waits until it stands still.
pub(super) fn freeze(ctx: &mut Ctx<'_>) -> Verdict {
    let pid = ctx.pid()?;
    ctx.server()?.signal_all(Signal::SIGSTOP)?;
    ctx.until("a stopped server", |_| {
        let Some(parent) = proc::stopped(pid) else {
            return Err(Stop::skip("no /proc on this system"));
        };
        let children = proc::children(pid).unwrap_or_default();
        let still = |child: &proc::Child| proc::stopped(child.pid).unwrap_or(true);
        let all = parent && children.iter().all(|child| child.zombie || still(child));
        Ok(if all { Ok(()) } else { Err("it runs".to_owned()) })
    })
}

pub(super) const CASES: &[Case] = &[
    case(
        "says_one_line",
        Contract,
        "contract, Starting and stopping",
        "Standard output is the one line `listening on http://…`, whatever the clients do",
        |ctx| {
            program(ctx.target)?;
            ctx.is_well()?;
            ctx.refuses("nonsense\r\n\r\n", 400)?;
            let address = ctx.server()?.address;
            let said = ctx.server()?.stdout();
            demand(
                said == format!("listening on http://{address}\n"),
                format!("listening on http://{address}"),
                said,
            )
        },
    )
    .needs(PROCESS),
    case(
        "port_in_use",
        Contract,
        "bind(2), EADDRINUSE",
        "A port that is taken: one line on standard error, and a status other than 0",
        |ctx| {
            ctx.is_well()?;
            let address = ctx.server()?.address.to_string();
            let root = ctx.root.display().to_string();
            fails_in_one_line(ctx, &["--listen", &address, "--root", &root])?;
            ctx.is_well()
        },
    )
    .needs(PROCESS),
    case(
        "no_such_root",
        Contract,
        "open(2), ENOENT",
        "A root that is not there: one line on standard error, and a status other than 0",
        |ctx| fails_in_one_line(ctx, &["--listen", "127.0.0.1:0", "--root", "/there/is/no/such/directory"]),
    )
    .needs(PROCESS),
    case(
        "unknown_option",
        Contract,
        "contract, Starting and stopping",
        "An option that nobody knows: a message, and a status other than 0",
        |ctx| fails_to_start(ctx, &["--listen", "127.0.0.1:0", "--no-such-option", "1"]),
    )
    .needs(PROCESS),
    case(
        "option_is_no_number",
        Contract,
        "contract, Limits",
        "A time that is no number, or negative: a message, and a status other than 0",
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
        "With --max-output 0 each answer is sent by itself, and the server serves",
        |ctx| {
            ctx.serve(&[("max-output", "0")])?;
            let mut client = ctx.client()?;
            client.send(get("/plaintext").repeat(3))?;
            for _ in 0..3 {
                client.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "starts_again_at_once",
        Contract,
        "socket(7), SO_REUSEADDR",
        "The same port can be had again at once, though old connections are still in TIME_WAIT",
        |ctx| {
            let path = program(ctx.target)?.clone();
            let mut client = ctx.client()?;
            // The server closes first, so that TIME_WAIT is on its side.
            client.send(get_and_close("/plaintext"))?;
            client.response()?.is(200)?;
            client.ends()?;
            client.close();
            let address = ctx.server()?.address.to_string();
            ctx.server()?.signal(Signal::SIGTERM)?;
            ctx.server()?.wait()?;
            ctx.done_with_server();
            let mut again = std::process::Command::new(path);
            again.args(["--listen", &address, "--root", &ctx.root.display().to_string()]);
            let mut again = crate::server::Server::spawn(again, String::new(), true)?;
            ctx.until("a server that listens again", |_| {
                if again.stdout().contains("listening on") {
                    return Ok(Ok(()));
                }
                match again.exited() {
                    Some(_) => {
                        let status = again.wait()?;
                        Err(Stop::fail("a server that starts", format!("{status}: {}", again.stderr())))
                    }
                    None => Ok(Err("nothing said yet".to_owned())),
                }
            })
        },
    )
    .needs(PROCESS),
    case(
        "listens_when_it_says_so",
        Contract,
        "listen(2)",
        "Once the line is printed a client is taken, ten starts out of ten",
        |ctx| {
            for _ in 0..10 {
                ctx.serve(&[])?;
                ctx.is_well()?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "frozen_and_thawed",
        Contract,
        "signal(7), SIGSTOP",
        "Clients that come while the server stands still are served when it goes on",
        |ctx| {
            ctx.is_well()?;
            freeze(ctx)?;
            let mut clients = Vec::new();
            for _ in 0..10 {
                let mut client = ctx.client()?;
                client.send(get_and_close("/plaintext"))?;
                client.half_close();
                clients.push(client);
            }
            for client in &mut clients {
                client.has_nothing("the server stands still")?;
            }
            ctx.server()?.signal_all(Signal::SIGCONT)?;
            for mut client in clients {
                client.response()?.is(200)?.holds("Hello, World!")?;
                client.ends()?;
            }
            Ok(())
        },
    )
    .needs(PROCESS),
    case(
        "frozen_and_replaced",
        Contract,
        "fcntl(2), F_SETSIG; epoll(7)",
        "What is told late of a client that has left does not end the one that got its descriptor",
        |ctx| {
            let mut leaves = ctx.client()?;
            leaves.send(get("/plaintext"))?;
            leaves.response()?.is(200)?;
            freeze(ctx)?;
            leaves.half_close();
            // More news than a server takes at once; behind it the last of the one who left.
            let mut comers = Vec::new();
            for _ in 0..600 {
                comers.push(ctx.client()?);
            }
            leaves.reset();
            ctx.server()?.signal_all(Signal::SIGCONT)?;
            ctx.is_well()?;
            for comer in &mut comers {
                comer.send(get("/plaintext"))?;
                comer.response()?.is(200)?.holds("Hello, World!")?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .level(3),
    case(
        "frozen_in_an_answer",
        Contract,
        "signal(7), SIGCONT; EINTR",
        "An answer that was interrupted by a stop arrives whole",
        |ctx| {
            let mut client = ctx.small_client()?;
            client.send(get("/bytes/5000000"))?;
            let _ = client.look(crate::patience::patience());
            freeze(ctx)?;
            ctx.server()?.signal_all(Signal::SIGCONT)?;
            client.response()?.is(200)?.holds(generated(5_000_000)).map(drop)
        },
    )
    .needs(&[Need::Process, Need::Bytes]),
    case(
        "goes_on_after_everything",
        Security,
        "contract, Starting and stopping",
        "After refusals of every kind the server serves",
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
                let answer = ctx.ask(bytes).map_err(|stop| stop.awaiting(REFUSAL))?;
                demand(answer.status >= 400, REFUSAL, format!("status {}", answer.status))?;
            }
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext]),
    case(
        "answers_while_refusing",
        Contract,
        "contract, Starting and stopping",
        "Good and bad clients by turns: each gets its own",
        |ctx| {
            for _ in 0..50 {
                let mut client = ctx.client()?;
                client.send([get("/plaintext"), b"bad\r\n\r\n".to_vec()].concat())?;
                client.response()?.is(200)?;
                client.response()?.is(400)?;
                client.close();
            }
            ctx.is_well()
        },
    )
    .needs(&[Need::Plaintext]),
];
