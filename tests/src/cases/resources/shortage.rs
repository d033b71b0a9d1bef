//! Nothing is left: no descriptor, no thread or process. Who is served is served on, and when
//! there is something again, so are others.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::known;
use super::rest::{never_rests, waits};
use crate::bounds::Bounds;
use crate::case::Kind::{Contract, Security};
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, get};
use crate::patience::patience;
use crate::proc;
use crate::server::{Ended, Server};
use crate::stage::Capability::{AtRest, ManyClients};
use crate::stage::Model;
use crate::target::Target;
use crate::verdict::{Step, Stop, Verdict, demand};

/// Where the book explains these.
const NOBODY_LEFT: &str =
    "Chapter 1, \"Nobody left to serve them\"; The contract, \"Refusals\"";

/// Where the book says what a start is.
const READY: &str = "The contract, \"Starting and stopping\"";

/// Lowers a process's limit of descriptors to none: it keeps those that it has.
fn allow_no_descriptor(pid: u32) -> Verdict {
    let mut prlimit = Command::new("prlimit");
    prlimit.args([&format!("--pid={pid}"), "--nofile=0:"]);
    match prlimit.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Stop::skip(format!("prlimit: {status}"))),
        Err(error) => Err(Stop::skip(format!("prlimit: {error}"))),
    }
}

/// Opens clients until one is not served at once; gives the served ones and it.
fn until_one_is_not_served(
    ctx: &mut Ctx<'_>,
    most: usize,
) -> Step<(Vec<Client>, Option<Client>)> {
    let mut served = Vec::new();
    for _ in 0..most {
        let mut client = ctx.client()?;
        client.send(get("/plaintext"))?;
        match client.look(Duration::from_millis(700)) {
            Seen::Nothing => return Ok((served, Some(client))),
            Seen::End(_) => {
                return Err(Stop::fail(
                    "an answer, 503, or patience",
                    "an end without a word",
                ));
            }
            Seen::Bytes => {
                let answer = client.response()?;
                if answer.status == 503 {
                    demand(
                        answer.field("Retry-After").is_some(),
                        "a Retry-After field",
                        "none",
                    )?;
                    client.ends()?;
                    return Ok((served, None));
                }
                // Which status is true for a file is the business of another case.
                if ctx.lenient && answer.status >= 400 {
                    return Ok((served, None));
                }
                answer.is(200)?;
                served.push(client);
            }
        }
    }
    Ok((served, None))
}

/// The status of a late answer; none if the server answers another client fifty times and
/// this one not at all. (Not by a clock: on a busy machine everybody is slow.)
fn late_answer(client: &mut Client, others: &mut [Client]) -> Step<Option<u16>> {
    for _ in 0..50 {
        let patience = match others.last_mut() {
            None => patience(),
            Some(other) => {
                other.send(get("/plaintext"))?;
                other.response()?.is(200)?;
                Duration::from_millis(10)
            }
        };
        if client.look(patience) != Seen::Nothing {
            return Ok(Some(client.response()?.one_of(&[200, 503])?.status));
        }
    }
    Ok(None)
}

/// The served ones are served on; and when they go, others are.
fn recovers(ctx: &mut Ctx<'_>, served: Vec<Client>, waiting: Option<Client>) -> Verdict {
    let mut served = served;
    for client in &mut served {
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?;
    }
    drop(served);
    if let Some(mut client) = waiting {
        client.response()?.one_of(&[200, 503])?;
        client.close();
    }
    ctx.until("a server that serves again", |ctx| {
        let answer = ctx.get("/plaintext")?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(answer.status.to_string()) })
    })
}

/// A server whose workers are made once, and cannot all be made, says so in one line and
/// ends: with fewer it would be exhausted later, and nobody would know why.
fn does_not_start(ctx: &mut Ctx<'_>, workers: &str, few: Bounds) -> Verdict {
    let Some(ended) = ctx.try_serve(&[(workers, "50")], few)? else {
        return demand(false, "a server that does not start", "it says that it listens");
    };
    demand(
        ended.said.contains(&format!("--{workers}")),
        format!("a line that names --{workers}"),
        &ended.said,
    )?;
    in_order(ctx, &ended)
}

/// A start that failed: a status, one line, and nothing is left.
fn in_order(ctx: &mut Ctx<'_>, ended: &Ended) -> Verdict {
    let Ended { status, said, pid } = ended;
    demand(!status.success(), "a status other than 0", Server::describe(*status))?;
    demand(said.lines().count() == 1, "one line on standard error", said)?;
    ctx.until("no process of the server's is left", |_| match proc::group(*pid) {
        Some(0) | None => Ok(Ok(())),
        Some(left) => Ok(Err(format!("{left} left"))),
    })
}

/// What says that it listens, serves; and what cannot, says so in order. Returns whether it
/// serves.
fn serves_or_ends_in_order(
    ctx: &mut Ctx<'_>,
    bounds: Bounds,
    answers: &[u16],
) -> Step<bool> {
    let workers = ctx.stage.workers().map(|workers| (workers, "4"));
    match ctx.try_serve(workers.as_slice(), bounds)? {
        Some(ended) => in_order(ctx, &ended).map(|()| false),
        None => {
            ctx.get("/plaintext")?.one_of(answers)?;
            let server = ctx.server()?;
            server.signal(Signal::SIGTERM)?;
            let status = server.wait()?;
            demand(status.success(), "exit status 0", Server::describe(status))?;
            ctx.done_with_server();
            Ok(true)
        }
    }
}

/// The server's program where any user can run it.
fn copied(target: &Target) -> Step<(tempfile::TempDir, Target)> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = crate::target::program(target)?;
    if !nix::unistd::geteuid().is_root() {
        return Err(Stop::skip(
            "only root can start a server as a user with few processes",
        ));
    }
    let skip =
        |error: std::io::Error| Stop::skip(format!("cannot copy the program: {error}"));
    let base = tempfile::tempdir().map_err(skip)?;
    let closed = |directory: &&Path| {
        std::fs::metadata(directory).is_ok_and(|m| m.permissions().mode() & 0o001 == 0)
    };
    if let Some(directory) = base.path().ancestors().skip(1).find(closed) {
        let directory = directory.display();
        return Err(Stop::skip(format!(
            "another user cannot come into {directory}, where temporary files go: set TMPDIR"
        )));
    }
    std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755))
        .map_err(skip)?;
    let copy = base.path().join(path.file_name().unwrap_or_default());
    // By a process of its own: a descriptor of ours would be inherited by whoever is forked
    // for another case meanwhile, and a program that anybody has open for writing cannot be
    // started (execve(2), ETXTBSY).
    let cp = Command::new("cp").arg(path).arg(&copy).status().map_err(skip)?;
    if !cp.success() {
        return Err(Stop::skip(format!("cannot copy the program: cp, {cp}")));
    }
    Ok((base, Target::Binary(copy)))
}

pub(super) const CASES: &[Case] = &[
    case("start_with_few_descriptors", Contract, "contract, Starting and stopping; EMFILE", "However few descriptors there are: a server that says it listens serves a client, and one that cannot says why in one line, with a status other than 0", |ctx| {
        let mut served = false;
        for count in 5..40 {
            let few = Bounds { descriptors: Some(count), ..Bounds::default() };
            served = serves_or_ends_in_order(ctx, few, &[200])?;
            if served {
                break;
            }
        }
        demand(served, "a server with forty descriptors", "none")
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_complain()
    .book(READY),
    case("start_with_few_threads", Contract, "contract, Starting and stopping; EAGAIN", "However few threads and processes there can be: a server that says it listens serves a client (or says 503), and one that cannot says why in one line, with a status other than 0", |ctx| {
        let (_kept, own) = copied(ctx.target)?;
        let mut other = Ctx::new(&own, ctx.stage, ctx.root.clone());
        other.log = ctx.log.clone();
        for count in 1..8 {
            let few = Bounds { processes: Some(count), ..Bounds::default() };
            if serves_or_ends_in_order(&mut other, few, &[200, 503])? {
                break;
            }
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_complain()
    .book(READY),
    case("fewer_descriptors_allowed", Security, "poll(2), EINVAL; setrlimit(2)", "The limit of descriptors is lowered below those in use: those that are served are served on, at rest, and SIGTERM is heard", |ctx| {
        // Beyond the standard streams a server has a few descriptors of its own.
        let count = if ctx.stage.has(ManyClients) { 12 } else { 1 };
        let mut held = Vec::new();
        for _ in 0..count {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            held.push(client);
        }
        let pid = ctx.pid()?;
        let children = known(proc::children(pid))?;
        for process in children.iter().map(|child| child.pid).chain([pid]) {
            allow_no_descriptor(process)?;
        }
        for client in &mut held {
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?.holds("Hello, World!")?;
        }
        if ctx.stage.has(AtRest) {
            waits(ctx)?;
        }
        let server = ctx.server()?;
        server.signal(Signal::SIGTERM)?;
        for client in &mut held {
            client.ends()?;
        }
        let status = server.wait()?;
        demand(status.success(), "exit status 0", Server::describe(status))?;
        ctx.done_with_server();
        Ok(())
    })
    .needs(&[Need::Process, Need::Plaintext])
    .may_complain()
    .book(NOBODY_LEFT),
    case("out_of_descriptors", Security, "accept(2), EMFILE", "Out of descriptors, those that are served are served on, and the server recovers", |ctx| {
        ctx.serve_within(&[], Bounds { descriptors: Some(24), ..Bounds::default() })?;
        for _ in 0..2 {
            let (served, waiting) = until_one_is_not_served(ctx, 40)?;
            recovers(ctx, served, waiting)?;
        }
        Ok(())
    })
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .may_complain()
    .book(NOBODY_LEFT),
    case("out_of_descriptors_everywhere", Security, "accept(2), EMFILE; epoll_ctl(2), EPOLLEXCLUSIVE", "A client that is not served for want of descriptors: no process of the server's has one left", |ctx| {
        const FEW: u32 = 24;
        ctx.serve_within(&[], Bounds { descriptors: Some(FEW), ..Bounds::default() })?;
        let (served, waiting) = until_one_is_not_served(ctx, 60)?;
        if waiting.is_some() {
            let pid = ctx.pid()?;
            let children: Vec<_> = known(proc::children(pid))?.iter().map(|c| c.pid).collect();
            let serving = if children.is_empty() { vec![pid] } else { children };
            for process in serving {
                let used = known(proc::descriptors(process))?;
                demand(
                    used >= FEW as usize,
                    format!("{FEW} descriptors in use in each process that serves"),
                    format!("{used} in one of them, and a client waits"),
                )?;
            }
        }
        recovers(ctx, served, waiting)
    })
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .only(&[
        Model::Events { select: false },
        Model::Events { select: true },
        Model::Spinning,
        Model::Coroutines,
    ])
    .may_complain()
    .book(NOBODY_LEFT),
    case("out_of_descriptors_for_a_file", Security, "open(2), EMFILE", "Out of descriptors a file is 503 (or waits), never 404; and later it is served", |ctx| {
        ctx.serve_within(&[], Bounds { descriptors: Some(24), ..Bounds::default() })?;
        let (mut served, waiting) = until_one_is_not_served(ctx, 40)?;
        if let Some(client) = served.first_mut() {
            client.send(get("/hello.txt"))?;
            client.response()?.one_of(&[200, 503])?;
        }
        served.drain(..served.len().min(1));
        recovers(ctx, served, waiting)?;
        ctx.until("the file", |ctx| {
            let answer = ctx.get("/hello.txt")?;
            Ok(if answer.status == 200 { Ok(()) } else { Err(answer.status.to_string()) })
        })
    })
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many, Need::Files])
    .may_complain()
    .book(NOBODY_LEFT),
    case("out_of_descriptors_is_no_work", Security, "accept(2), EMFILE", "Out of descriptors, with clients that wait, the server does not spin", |ctx| {
        ctx.serve_within(&[], Bounds { descriptors: Some(24), ..Bounds::default() })?;
        let (served, waiting) = until_one_is_not_served(ctx, 40)?;
        let mut more = Vec::new();
        for _ in 0..10 {
            more.push(ctx.client()?);
        }
        waits(ctx)?;
        drop(more);
        recovers(ctx, served, waiting)
    })
    .about(AtRest, never_rests)
    .clients(60)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .may_complain()
    .book(NOBODY_LEFT),
    case("out_of_processes", Security, "fork(2), pthread_create(3), EAGAIN", "Where no thread or process can be made, the client is 503, the others are served on, and the server recovers", |ctx| {
        let (_kept, own) = copied(ctx.target)?;
        let mut other = Ctx::new(&own, ctx.stage, ctx.root.clone());
        other.log = ctx.log.clone();
        let few = Bounds { processes: Some(8), ..Bounds::default() };
        if let Some(workers) = ctx.stage.workers() {
            return does_not_start(&mut other, workers, few);
        }
        other.serve_within(&[], few)?;
        for _ in 0..2 {
            let (mut served, waiting) = until_one_is_not_served(&mut other, 20)?;
            if let Some(mut waiting) = waiting {
                match late_answer(&mut waiting, &mut served)? {
                    Some(503) => {}
                    Some(_) => served.push(waiting),
                    None => demand(false, "503 for the one that cannot be served", "silence")?,
                }
            }
            recovers(&mut other, served, None)?;
        }
        other.finish(true)
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .book(NOBODY_LEFT),
];
