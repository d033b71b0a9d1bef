//! Worker processes that are terminated or killed: the effect on a worker's client, what a worker
//! leaves behind, and the replacement of a worker.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{NEVER, PLAIN, few, occupy_workers, one_more};
use crate::case::Kind::{Book, Contract};
use crate::case::{Case, Need, case};
use crate::cases::many::{hold, round_trip};
use crate::cases::resources::known;
use crate::cases::shutdown::wait_until_no_process;
use crate::client::{Client, Peek};
use crate::ctx::{Ctx, echo, get, request};
use crate::fixture::{pattern, variant};
use crate::proc::{self, Child, Family};
use crate::profile::Model;
use crate::profile::Model::{PoolOfProcesses, ProcessPerClient};
use crate::receive_queue::unread_by_peer;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

const PROCESSES: &[Model] = &[PoolOfProcesses];

const CHILDREN: &str = "Chapter 2, \"Processes made once: prefork\"";

/// Returns the running worker processes.
fn workers(pid: u32) -> CaseResult<Vec<u32>> {
    let living = |child: &Child| !child.zombie;
    Ok(known(proc::children(pid))?.iter().filter(|c| living(c)).map(|c| c.pid).collect())
}

fn send_signal(pid: u32, signal: Signal) {
    // An error means that the process has already exited, and is ignored.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// Number of times that the suite looks for new workers to kill.
const ROUNDS: usize = 60;

/// Kills every worker as soon as it appears. Returns the number of workers killed, and the longest
/// time between two searches for new workers.
fn kill_new_workers(ctx: &mut Ctx<'_>) -> CaseResult<(usize, Duration)> {
    let (_, options) = few(ctx.profile);
    ctx.serve(options)?;
    let pid = ctx.pid()?;
    let (mut killed, mut last, mut longest) =
        (Vec::new(), Instant::now(), Duration::ZERO);
    for _ in 0..ROUNDS {
        for worker in workers(pid)? {
            if !killed.contains(&worker) {
                send_signal(worker, Signal::SIGKILL);
                killed.push(worker);
            }
        }
        longest = longest.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((killed.len(), longest))
}

/// Occupies every worker with a client, sends a signal to one worker, and asserts that only that
/// worker's client is disconnected and that a new worker replaces the old one.
fn assert_replaced(ctx: &mut Ctx<'_>, signal: Signal) -> Verdict {
    let mut held = occupy_workers(ctx, &[("idle-timeout", NEVER)])?;
    let pid = ctx.pid()?;
    let Some(&one) = workers(pid)?.first() else { return Ok(()) };
    ctx.log.add(
        "",
        crate::transcript::EventKind::Note(format!("sends {signal} to one worker")),
    );
    send_signal(one, signal);
    ctx.poll_until("the end of the connection that the worker served", |_| {
        let gone = |client: &mut Client| client.peek(Duration::ZERO) != Peek::Nothing;
        let Some(at) = held.iter_mut().position(gone) else {
            return Ok(Err("all are open".to_owned()));
        };
        held.remove(at).assert_disconnected()?;
        Ok(Ok(()))
    })?;
    let mut new = one_more(ctx)?;
    new.response()
        .map_err(|stop| {
            stop.expecting("a response from a new worker that replaces the dead one")
        })?
        .is(200)?;
    held.iter_mut().try_for_each(round_trip)?;
    round_trip(&mut new)?;
    ensure(
        !workers(pid)?.contains(&one),
        "the signaled worker has exited",
        "it is still running",
    )
}

pub(super) const CASES: &[Case] = &[
    case(
        "killed_worker_is_replaced",
        Book,
        "fork(2), wait(2)",
        "A killed worker is replaced, and only its own client is disconnected",
        |ctx| assert_replaced(ctx, Signal::SIGKILL),
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .may_log()
    .book(CHILDREN),
    case(
        "stopped_worker_is_replaced",
        Book,
        "fork(2), wait(2)",
        "SIGTERM to one worker stops that worker gracefully, and not the server",
        |ctx| assert_replaced(ctx, Signal::SIGTERM),
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .book(CHILDREN),
    case(
        "half_a_request_together_with_sigterm",
        Contract,
        "contract, Starting and stopping",
        "If SIGTERM and half a request arrive at a client's process at the same time, it reads the rest \
        and answers",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            let server = ctx.pid()?;
            let Some(child) = workers(server)?.pop() else {
                return Err(Abort::fail("a process for the client", "no process"));
            };
            ctx.poll_until("the process is blocked waiting for its client", |_| {
                let runs = known(Family::of(server))?.is_running();
                Ok(if runs { Err("it is running".to_owned()) } else { Ok(()) })
            })?;
            send_signal(child, Signal::SIGSTOP);
            ctx.poll_until("the process is stopped", |_| {
                let stopped = known(proc::stopped(child))?;
                Ok(if stopped { Ok(()) } else { Err("it is not stopped".to_owned()) })
            })?;
            let bytes = get("/plaintext");
            let (first, rest) = bytes.split_at(variant().cut(20, bytes.len()));
            client.send(first)?;
            send_signal(child, Signal::SIGTERM);
            send_signal(child, Signal::SIGCONT);
            ctx.poll_until("the process has read the first half", |_| {
                let left = known(unread_by_peer(&client.stream))?;
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} bytes are unread")) })
            })?;
            client.send(rest)?;
            client.response()?.is(200)?.has_content("Hello, World!")?.list_has("Connection", "close")?;
            client.assert_closed()
        },
    )
    .needs(PLAIN)
    .only(&[ProcessPerClient])
    .book("Chapter 1, \"A process for each: fork\""),
    case(
        "all_workers_killed",
        Book,
        "fork(2), wait(2)",
        "All workers are replaced after they are killed at the same time, three times",
        |ctx| {
            drop(occupy_workers(ctx, &[])?);
            let pid = ctx.pid()?;
            let all = few(ctx.profile).0;
            for _ in 0..3 {
                let dead = workers(pid)?;
                dead.iter().for_each(|&worker| send_signal(worker, Signal::SIGKILL));
                ctx.poll_until(&format!("{all} new workers"), |_| {
                    let now = workers(pid)?;
                    let new = now.iter().filter(|worker| !dead.contains(worker)).count();
                    Ok(if new == all { Ok(()) } else { Err(format!("{new}")) })
                })?;
            }
            hold(ctx, all).map(drop)
        },
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .may_log()
    .book(CHILDREN),
    case(
        "killed_worker_gives_back",
        Book,
        "mmap(2), MAP_SHARED",
        "A worker that is killed while it reads a content leaves nothing behind: neither its connection \
        in `open` nor its part of --max-buffered",
        |ctx| {
            let (_, options) = ctx.profile.capacity().unwrap_or((1, &[]));
            ctx.serve(&[options, &[("max-buffered", "100000")]].concat())?;
            let pid = ctx.pid()?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 90000\r\n"))?;
                client.send(pattern(80_000))?;
                client.wait_until_read();
                for worker in workers(pid)? {
                    send_signal(worker, Signal::SIGKILL);
                }
                client.assert_disconnected()?;
                let content = pattern(80_000);
                ctx.poll_until("80,000 bytes can be buffered, and `open` is 1", |ctx| {
                    let status = ctx.ask(echo(&content))?.status;
                    let open = ctx.counter("open")?;
                    let fine = status == 200 && open == 1;
                    Ok(if fine { Ok(()) } else { Err(format!("{status}, open: {open}")) })
                })?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Echo, Need::Stats, Need::Process])
    .only(&[PoolOfProcesses, ProcessPerClient])
    .may_log()
    .book(CHILDREN),
    case(
        "no_rush_to_replace",
        Book,
        "fork(2)",
        "Workers that die immediately are replaced, with growing pauses",
        |ctx| {
            // Workers die immediately only if the suite finds and kills them without delay. If the
            // suite was delayed, the attempt proves nothing; up to five attempts are made.
            for _ in 0..5 {
                let (killed, longest) = kill_new_workers(ctx)?;
                if longest > Duration::from_millis(500) {
                    continue;
                }
                ensure(
                    killed < ROUNDS,
                    format!("pauses that grow: fewer than {ROUNDS} workers in {ROUNDS} looks"),
                    "more",
                )?;
                ensure(killed > few(ctx.profile).0, "new workers", "none")?;
                break;
            }
            ctx.assert_healthy()
        },
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .may_log()
    .book(CHILDREN),
    case(
        "workers_die_with_their_parent",
        Book,
        "prctl(2), PR_SET_PDEATHSIG",
        "When the parent is killed, its workers exit and release the port",
        |ctx| {
            let held = occupy_workers(ctx, &[("drain-timeout", "1")])?;
            let pid = ctx.pid()?;
            known(proc::children(pid))?;
            ctx.server()?.signal(Signal::SIGKILL)?;
            ctx.server()?.wait()?;
            wait_until_no_process(ctx, pid)?;
            drop(held);
            ctx.forget_server();
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .book(CHILDREN),
];
