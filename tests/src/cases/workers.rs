//! Workers that are made once: what it means when all of them wait, how they are given
//! back, and what becomes of them when something goes wrong.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::many::{hold, round_trip};
use super::resources::known;
use super::shutdown::{ends_well, terminate};
use crate::case::Kind::{Book, Contract};
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, echo, get, get_and_close, request, stat_in};
use crate::fixture::pattern;
use crate::proc::{self, Child};
use crate::queue::unread_by_peer;
use crate::stage::Model::{PoolOfProcesses, PoolOfThreads, ProcessPerClient};
use crate::stage::{Model, Stage};
use crate::verdict::{Step, Verdict, demand};

const POOLS: &[Model] = &[PoolOfThreads, PoolOfProcesses];
const THREADS: &[Model] = &[PoolOfThreads];
const PROCESSES: &[Model] = &[PoolOfProcesses];

const PLAIN: &[Need] = &[Need::Plaintext, Need::Process];
const STATS: &[Need] = &[Need::Plaintext, Need::Stats, Need::Process];

const BACK: &str = "Chapter 2, \"Every deadline gives a worker back\"";
const QUEUE: &str = "Chapter 2, \"The queue\" and \"When everybody is busy\"";
const CHILDREN: &str = "Chapter 2, \"Processes made once: prefork\"";

/// So long that only a wrong reason would let the server wait for it.
const NEVER: &str = "3600";

/// How many workers the server is told to have here, and how it is told.
fn few(stage: &Stage) -> (usize, &'static [(&'static str, &'static str)]) {
    stage.at_once().unwrap_or((1, &[]))
}

/// Serves with few workers and more options; all the workers have a client, each of which
/// has had an answer.
fn occupied(ctx: &mut Ctx<'_>, more: &[(&str, &str)]) -> Step<Vec<Client>> {
    let (workers, options) = few(ctx.stage);
    ctx.serve(&[options, more].concat())?;
    hold(ctx, workers)
}

/// A client that has asked, and for whom there is no worker yet.
fn one_more(ctx: &mut Ctx<'_>) -> Step<Client> {
    let mut client = ctx.client()?;
    client.send(get("/plaintext"))?;
    Ok(client)
}

/// A counter, asked for on a connection that is there.
fn counter(client: &mut Client, name: &str) -> Step<u64> {
    client.send(get("/stats"))?;
    stat_in(&client.response()?, name)
}

/// Waits until so many clients were accepted, as the one that is being served is told.
fn until_accepted(ctx: &mut Ctx<'_>, busy: &mut Client, accepted: u64) -> Verdict {
    ctx.until(&format!("`accepted` is {accepted}"), |_| {
        let now = counter(busy, "accepted")?;
        Ok(if now == accepted { Ok(()) } else { Err(format!("accepted: {now}")) })
    })
}

/// All workers but one are stuck in one way, and the last one is in use. Somebody else
/// asks, and has nothing until a deadline has ended a stuck one.
fn gives_back(ctx: &mut Ctx<'_>, deadline: &str, bytes: &[u8]) -> Verdict {
    let (workers, few) = few(ctx.stage);
    let deadlines = ["idle-timeout", "head-timeout", "body-timeout", "write-timeout"]
        .map(|name| (name, if name == deadline { "2" } else { NEVER }));
    let others = [("body-rate", "0"), ("linger-timeout", "0.2")];
    ctx.serve(&[few, &deadlines, &others].concat())?;
    let mut stuck = Vec::new();
    for _ in 1..workers {
        let mut client = ctx.small_client()?;
        round_trip(&mut client)?;
        client.send(bytes)?;
        client.note("is stuck");
        stuck.push(client);
    }
    let mut busy = ctx.client()?;
    round_trip(&mut busy)?;
    let mut waiting = one_more(ctx)?;
    ctx.until(&format!("an answer, when --{deadline} has ended a client"), |_| {
        let before = counter(&mut busy, "timeouts")?;
        if waiting.look(Duration::ZERO) == Seen::Nothing {
            return Ok(Err(format!("no answer; clients ended by a deadline: {before}")));
        }
        demand(
            counter(&mut busy, "timeouts")? > 0,
            "no answer before a deadline has ended one of those that are stuck",
            "an answer",
        )?;
        Ok(Ok(()))
    })?;
    waiting.response()?.is(200)?.holds("Hello, World!").map(drop)
}

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
        "idle_deadline_gives_back",
        Book,
        "read(2)",
        "Idle clients exhaust the workers, until --idle-timeout gives one back",
        |ctx| gives_back(ctx, "idle-timeout", b""),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "head_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a head exhaust the workers, until --head-timeout gives one back",
        |ctx| gives_back(ctx, "head-timeout", b"GET /plaintext HT"),
    )
    .needs(STATS)
    .only(POOLS)
    .book(BACK),
    case(
        "body_deadline_gives_back",
        Book,
        "read(2)",
        "Clients with half a content exhaust the workers, until --body-timeout gives one back",
        |ctx| {
            let head = request("POST", "/echo", "Content-Length: 10\r\n");
            gives_back(ctx, "body-timeout", &[&head[..], b"12345"].concat())
        },
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Echo, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "write_deadline_gives_back",
        Book,
        "write(2)",
        "Clients that do not read exhaust the workers, until --write-timeout gives one back",
        |ctx| gives_back(ctx, "write-timeout", &get("/bytes/100000000")),
    )
    .needs(&[Need::Plaintext, Need::Stats, Need::Bytes, Need::Process])
    .only(POOLS)
    .book(BACK),
    case(
        "a_hundred_take_turns",
        Contract,
        "contract, Limits",
        "A hundred clients at once, far more than there are workers, all get their answers",
        |ctx| {
            let (_, options) = few(ctx.stage);
            ctx.serve(options)?;
            let mut clients = Vec::new();
            for _ in 0..100 {
                let mut client = ctx.client()?;
                client.send(get_and_close("/sleep/10"))?;
                clients.push(client);
            }
            for mut client in clients {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.awaiting("an answer for each"))?;
                answer.is(200)?.holds("slept 10 ms\n")?;
                client.ends()?;
                client.close();
            }
            Ok(())
        },
    )
    .needs(&[Need::Sleep, Need::Process])
    .only(POOLS)
    .book(QUEUE),
    case(
        "first_come_first_served",
        Contract,
        "contract, Limits",
        "Who waits longest is served first",
        |ctx| {
            let mut held = occupied(ctx, &[])?;
            let (mut first, mut second) = (one_more(ctx)?, one_more(ctx)?);
            let Some(mut busy) = held.pop() else { return Ok(()) };
            // So many round trips later both are in the queue, if there is one.
            for _ in 0..50 {
                round_trip(&mut busy)?;
                first.has_nothing("all workers have a client")?;
            }
            busy.close();
            first.response()?.is(200)?;
            for _ in 0..50 {
                round_trip(&mut first)?;
                second.has_nothing("the only worker that was free has the first")?;
            }
            first.close();
            second.response()?.is(200).map(drop)
        },
    )
    .needs(PLAIN)
    .only(POOLS)
    .book(QUEUE),
    case(
        "queue_is_bounded",
        Contract,
        "contract, Limits",
        "At most --queue clients are accepted for whom there is no worker; the others wait in \
         the kernel's backlog, and all are served in the end",
        |ctx| {
            let mut held = occupied(ctx, &[("queue", "2")])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = Vec::new();
            for _ in 0..10 {
                waiting.push(one_more(ctx)?);
            }
            let Some(busy) = held.first_mut() else { return Ok(()) };
            ctx.until(&format!("`accepted` is {accepted}"), |_| {
                let now = counter(busy, "accepted")?;
                Ok(if now == accepted { Ok(()) } else { Err(format!("accepted: {now}")) })
            })?;
            for _ in 0..50 {
                let now = counter(busy, "accepted")?;
                demand(
                    now == accepted,
                    format!("`accepted` stays {accepted}"),
                    format!("accepted: {now}"),
                )?;
            }
            drop(held);
            for mut client in waiting {
                client.response()?.is(200)?;
                client.close();
            }
            Ok(())
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book(QUEUE),
    case(
        "refuses_when_full",
        Contract,
        "RFC 9110 §15.6.4",
        "With --when-busy refuse the client for whom there is no place is 503 with Retry-After \
         at once; those in the queue are served in their turn",
        |ctx| {
            let mut held = occupied(ctx, &[("queue", "2"), ("when-busy", "refuse")])?;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            for _ in 0..3 {
                let mut refused = one_more(ctx)?;
                let answer = refused.response()?;
                answer.is(503)?;
                demand(answer.field("Retry-After").is_some(), "Retry-After", "none")?;
                refused.ends()?;
                refused.close();
            }
            for client in &mut waiting {
                client.has_nothing("all workers have a client")?;
            }
            held.iter_mut().try_for_each(round_trip)?;
            drop(held);
            for client in &mut waiting {
                client.response()?.is(200)?;
            }
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(THREADS)
    .book(QUEUE),
    case(
        "refuses_without_a_queue",
        Contract,
        "RFC 9110 §15.6.4",
        "With --queue 0 nobody waits: who finds a free worker is served, who does not is 503; \
         and when a worker is free again, it serves",
        |ctx| {
            for _ in 0..3 {
                let mut held = occupied(ctx, &[("queue", "0"), ("when-busy", "refuse")])?;
                one_more(ctx)?.response()?.is(503)?;
                held.iter_mut().try_for_each(round_trip)?;
                held.truncate(1);
                ctx.until("a worker that is free again", |ctx| {
                    let answer = one_more(ctx)?.response()?;
                    Ok(if answer.status == 200 { Ok(()) } else { Err("503".to_owned()) })
                })?;
            }
            Ok(())
        },
    )
    .needs(PLAIN)
    .only(THREADS)
    .book(QUEUE),
    case(
        "panics_cost_no_worker",
        Contract,
        "contract, Routes",
        "More failures of the application than there are workers, and all workers are there",
        |ctx| {
            let (workers, options) = few(ctx.stage);
            ctx.serve(options)?;
            for _ in 0..3 * workers {
                let mut client = ctx.client()?;
                client.send(get("/panic"))?;
                client.response()?.is(500)?;
                client.close();
            }
            let mut held = hold(ctx, workers)?;
            held.iter_mut().try_for_each(round_trip)
        },
    )
    .needs(&[Need::Plaintext, Need::Panic, Need::Process])
    .only(POOLS)
    .may_complain()
    .book("Chapter 2, \"What must be got right\""),
    case(
        "free_workers_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM wakes the workers that wait for a client, those that have served and those \
         that never have",
        |ctx| {
            drop(occupied(ctx, &[("drain-timeout", NEVER), ("idle-timeout", NEVER)])?);
            terminate(ctx)?;
            ends_well(ctx)?;
            let (_, options) = few(ctx.stage);
            ctx.serve(&[options, &[("drain-timeout", NEVER)]].concat())?;
            terminate(ctx)?;
            ends_well(ctx)
        },
    )
    .needs(PLAIN)
    .only(POOLS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "who_is_in_the_queue_is_served_at_the_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM, and those who were accepted and wait for a worker get their answers",
        |ctx| {
            let mut held = occupied(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 2;
            let mut waiting = [one_more(ctx)?, one_more(ctx)?];
            let Some(busy) = held.first_mut() else { return Ok(()) };
            until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.ends()?;
            }
            for client in &mut waiting {
                let answer = client.response();
                let answer = answer.map_err(|stop| stop.awaiting("the queue's answers"))?;
                answer.is(200)?.names("Connection", "close")?;
            }
            drop((held, waiting));
            ends_well(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book("Chapter 2, \"What must be got right\""),
    case(
        "half_a_request_in_the_queue_is_finished_at_the_stop",
        Contract,
        "contract, Starting and stopping",
        "SIGTERM, and a client in the queue that has sent half a request may send the rest of it, \
         and is answered",
        |ctx| {
            let mut held = occupied(ctx, &[("drain-timeout", NEVER)])?;
            let accepted = held.len() as u64 + 1;
            let mut waiting = ctx.client()?;
            let bytes = get("/plaintext");
            let (first, rest) = bytes.split_at(20);
            waiting.send(first)?;
            let Some(busy) = held.first_mut() else { return Ok(()) };
            until_accepted(ctx, busy, accepted)?;
            terminate(ctx)?;
            for client in &mut held {
                client.ends()?;
            }
            ctx.until("a worker that has read the half", |_| {
                let left = known(unread_by_peer(&waiting.stream))?;
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} bytes lie in the socket")) })
            })?;
            waiting.send(rest)?;
            waiting.response()?.is(200)?.holds("Hello, World!")?.names("Connection", "close")?;
            waiting.close();
            drop(held);
            ends_well(ctx)
        },
    )
    .needs(STATS)
    .only(THREADS)
    .book(QUEUE),
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
