//! Processes, one of which is stopped or killed: what its client sees, what it leaves
//! behind, and who takes its place.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{NEVER, PLAIN, few, occupied, one_more};
use crate::case::Kind::{Book, Contract};
use crate::case::{Case, Need, case};
use crate::cases::many::{hold, round_trip};
use crate::cases::resources::known;
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, echo, get, request};
use crate::fixture::pattern;
use crate::proc::{self, Child};
use crate::queue::unread_by_peer;
use crate::stage::Model;
use crate::stage::Model::{PoolOfProcesses, ProcessPerClient};
use crate::verdict::{Step, Verdict, demand};

const PROCESSES: &[Model] = &[PoolOfProcesses];

const CHILDREN: &str = "Chapter 2, \"Processes made once: prefork\"";

/// The worker processes that live.
fn workers(pid: u32) -> Step<Vec<u32>> {
    let living = |child: &Child| !child.zombie;
    Ok(known(proc::children(pid))?.iter().filter(|c| living(c)).map(|c| c.pid).collect())
}

fn send_signal(pid: u32, signal: Signal) {
    // It may have died of itself.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

/// How often the suite looks for workers that it has not killed yet.
const LOOKS: usize = 60;

/// Kills every worker as soon as it is seen. How many, and the longest time between two
/// looks.
fn kills_at_sight(ctx: &mut Ctx<'_>) -> Step<(usize, Duration)> {
    let (_, options) = few(ctx.stage);
    ctx.serve(options)?;
    let pid = ctx.pid()?;
    let (mut killed, mut last, mut longest) =
        (Vec::new(), Instant::now(), Duration::ZERO);
    for _ in 0..LOOKS {
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

/// Every worker has a client. One worker is ended by a signal: its client sees that,
/// nobody else does, and somebody new takes its place.
fn replaces(ctx: &mut Ctx<'_>, signal: Signal) -> Verdict {
    let mut held = occupied(ctx, &[("idle-timeout", NEVER)])?;
    let pid = ctx.pid()?;
    let Some(&one) = workers(pid)?.first() else { return Ok(()) };
    ctx.log
        .add("", crate::transcript::What::Note(format!("sends {signal} to one worker")));
    send_signal(one, signal);
    ctx.until("the end of one connection", |_| {
        let gone = |client: &mut Client| client.look(Duration::ZERO) != Seen::Nothing;
        let Some(at) = held.iter_mut().position(gone) else {
            return Ok(Err("all are open".to_owned()));
        };
        held.remove(at).is_gone()?;
        Ok(Ok(()))
    })?;
    let mut new = one_more(ctx)?;
    new.response()
        .map_err(|stop| stop.awaiting("a new worker in the place of the dead one"))?
        .is(200)?;
    held.iter_mut().try_for_each(round_trip)?;
    round_trip(&mut new)?;
    demand(!workers(pid)?.contains(&one), "a worker that has ended", "it is there yet")
}

pub(super) const CASES: &[Case] = &[
    case(
        "killed_worker_is_replaced",
        Book,
        "fork(2), wait(2)",
        "A worker is killed: one client sees it, nobody else does, and a new worker takes its place",
        |ctx| replaces(ctx, Signal::SIGKILL),
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .may_complain()
    .book(CHILDREN),
    case(
        "stopped_worker_is_replaced",
        Book,
        "fork(2), wait(2)",
        "SIGTERM to one worker ends that one, in order, and not the server",
        |ctx| replaces(ctx, Signal::SIGTERM),
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .book(CHILDREN),
    case(
        "half_a_request_together_with_the_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM and half a request find a client's process asleep, both at once: it reads the rest \
         and answers",
        |ctx| {
            ctx.serve(&[("drain-timeout", NEVER)])?;
            let mut client = ctx.client()?;
            round_trip(&mut client)?;
            let server = ctx.pid()?;
            let Some(child) = workers(server)?.pop() else {
                return demand(false, "a process for the client", "none");
            };
            ctx.until("a process that waits for its client", |_| {
                let runs = known(proc::running(server))?;
                Ok(if runs { Err("it runs".to_owned()) } else { Ok(()) })
            })?;
            send_signal(child, Signal::SIGSTOP);
            ctx.until("a process that is stopped", |_| {
                let stopped = known(proc::stopped(child))?;
                Ok(if stopped { Ok(()) } else { Err("it is not".to_owned()) })
            })?;
            let bytes = get("/plaintext");
            let (first, rest) = bytes.split_at(20);
            client.send(first)?;
            send_signal(child, Signal::SIGTERM);
            send_signal(child, Signal::SIGCONT);
            ctx.until("a process that has read the half", |_| {
                let left = known(unread_by_peer(&client.stream))?;
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} bytes lie in the socket")) })
            })?;
            client.send(rest)?;
            client.response()?.is(200)?.holds("Hello, World!")?.names("Connection", "close")?;
            client.ends()
        },
    )
    .needs(PLAIN)
    .only(&[ProcessPerClient])
    .book("Chapter 1, \"A process for each: fork\""),
    case(
        "all_workers_killed",
        Book,
        "fork(2), wait(2)",
        "All workers are killed at once, three times, and all are replaced",
        |ctx| {
            drop(occupied(ctx, &[])?);
            let pid = ctx.pid()?;
            let all = few(ctx.stage).0;
            for _ in 0..3 {
                let dead = workers(pid)?;
                dead.iter().for_each(|&worker| send_signal(worker, Signal::SIGKILL));
                ctx.until(&format!("{all} other workers"), |_| {
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
    .may_complain()
    .book(CHILDREN),
    case(
        "killed_worker_gives_back",
        Book,
        "mmap(2), MAP_SHARED",
        "A worker that is killed in the middle of a content leaves nothing behind: not its \
         connection in `open`, nor its part of --max-buffered",
        |ctx| {
            let (_, options) = ctx.stage.at_once().unwrap_or((1, &[]));
            ctx.serve(&[options, &[("max-buffered", "100000")]].concat())?;
            let pid = ctx.pid()?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 90000\r\n"))?;
                client.send(pattern(80_000))?;
                client.drained();
                for worker in workers(pid)? {
                    send_signal(worker, Signal::SIGKILL);
                }
                client.is_gone()?;
                let content = pattern(80_000);
                ctx.until("room for 80,000 bytes, and `open` 1", |ctx| {
                    let status = ctx.ask(echo(&content))?.status;
                    let open = ctx.stat("open")?;
                    let fine = status == 200 && open == 1;
                    Ok(if fine { Ok(()) } else { Err(format!("{status}, open: {open}")) })
                })?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Plaintext, Need::Echo, Need::Stats, Need::Process])
    .only(&[PoolOfProcesses, ProcessPerClient])
    .may_complain()
    .book(CHILDREN),
    case(
        "no_rush_to_replace",
        Book,
        "fork(2)",
        "Workers that die as soon as they are made are made again, but not at full speed",
        |ctx| {
            // A suite that was itself kept waiting by the machine has let the workers live,
            // and proves nothing: then once more.
            for _ in 0..5 {
                let (killed, longest) = kills_at_sight(ctx)?;
                if longest > Duration::from_millis(500) {
                    continue;
                }
                demand(
                    killed < LOOKS,
                    format!("pauses that grow: fewer than {LOOKS} workers in {LOOKS} looks"),
                    "more",
                )?;
                demand(killed > few(ctx.stage).0, "new workers", "none")?;
                break;
            }
            ctx.is_well()
        },
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .may_complain()
    .book(CHILDREN),
    case(
        "workers_die_with_their_parent",
        Book,
        "prctl(2), PR_SET_PDEATHSIG",
        "The parent is killed, and the workers do not stay behind with its port",
        |ctx| {
            let held = occupied(ctx, &[("drain-timeout", "1")])?;
            let pid = ctx.pid()?;
            known(proc::children(pid))?;
            ctx.server()?.signal(Signal::SIGKILL)?;
            ctx.server()?.wait()?;
            ctx.until("no process of the server's is left", |_| match proc::group(pid) {
                Some(0) | None => Ok(Ok(())),
                Some(left) => Ok(Err(format!("{left} left"))),
            })?;
            drop(held);
            ctx.done_with_server();
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(PROCESSES)
    .book(CHILDREN),
];
