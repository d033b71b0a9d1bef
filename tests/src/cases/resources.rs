//! What clients leave behind: nothing. And what is missing: nobody's death.

use std::path::Path;
use std::time::Duration;

use crate::bounds::Bounds;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, echo, get, get_and_close, request};
use crate::fixture::pattern;
use crate::patience::patience;
use crate::proc;
use crate::server::Server;
use crate::stage::Capability::AtRest;
use crate::stage::Model;
use crate::target::Target;
use crate::verdict::{Step, Stop, Verdict, demand};

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];
/// Where the book explains these.
const NOBODY_LEFT: &str =
    "Chapter 1, \"Nobody left to serve them\"; The contract, \"Refusals\"";
const NEVER_READS: &str = "Chapter 1, \"The client that never reads\"";

pub(super) fn known<T>(value: Option<T>) -> Step<T> {
    value.ok_or_else(|| Stop::skip("no /proc on this system"))
}

/// Waits until a number is back where it was.
fn until_back(
    ctx: &mut Ctx<'_>,
    what: &str,
    before: usize,
    now: impl Fn() -> Option<usize>,
) -> Verdict {
    ctx.until(&format!("{what}: {before}, as before"), |_| {
        let now = known(now())?;
        Ok(if now <= before { Ok(()) } else { Err(format!("{now} {what}")) })
    })
}

/// One client of each kind.
fn all_kinds(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.is_well()?;
    ctx.ask(get_and_close("/there-is-no-such-thing"))?.is(404)?;
    // How it is refused is the business of other cases.
    let _ = ctx.ask("nonsense\r\n\r\n");
    ctx.client()?.close();
    let mut half = ctx.client()?;
    half.send("GET /pl")?;
    half.reset();
    let mut burst = ctx.client()?;
    burst.send(get("/plaintext").repeat(20))?;
    burst.half_close();
    burst.rest()?;
    burst.close();
    let mut file = ctx.client()?;
    file.send(get("/large.bin"))?;
    let _ = file.sip(1000)?;
    file.reset();
    let mut bytes = ctx.client()?;
    bytes.send(get("/bytes/3000000"))?;
    bytes.close();
    ctx.ask(
        [
            request("POST", "/echo", "Connection: close\r\nContent-Length: 5\r\n"),
            b"hello".to_vec(),
        ]
        .concat(),
    )
    .map(drop)
}

/// The growth of the server's own memory in KiB while `clients` hold on.
fn growth(ctx: &mut Ctx<'_>, clients: usize, bytes: &[u8]) -> Step<u64> {
    for _ in 0..20 {
        ctx.is_well()?;
    }
    let pid = ctx.pid()?;
    let before = known(proc::memory(pid))?;
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..clients {
        let mut client = ctx.small_client()?;
        client.send(bytes)?;
        client.drained();
        held.push(client);
    }
    // A new client is served, so the server has had its time with the others.
    ctx.is_well()?;
    let after = known(proc::memory(pid))?;
    drop(held);
    Ok(after.saturating_sub(before))
}

/// As many as `select` has room for.
const CROWD: usize = 900;

fn grows_less_than(
    ctx: &mut Ctx<'_>,
    clients: usize,
    bytes: &[u8],
    most: u64,
) -> Verdict {
    let each = match ctx.stage.model {
        // A forked child has its parent's pages too, counted again for each child.
        Model::ProcessPerClient => 1024,
        // Here they were counted before, but a child makes its own when it first serves.
        Model::PoolOfProcesses => 512,
        _ => 128,
    };
    let most = most + each * clients as u64;
    let grown = growth(ctx, clients, bytes)?;
    demand(
        grown < most,
        format!("less than {most} KiB more with {clients} such clients"),
        format!("{grown} KiB more"),
    )
}

/// At so many of sixty looks a thread of the server was running.
fn busy_looks(ctx: &mut Ctx<'_>) -> Step<usize> {
    let pid = ctx.pid()?;
    let mut busy = 0;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(20));
        busy += usize::from(known(proc::running(pid))?);
    }
    Ok(busy)
}

const LOOKS: usize = 60;

/// The server's threads wait; they do not run all the time.
pub(super) fn waits(ctx: &mut Ctx<'_>) -> Verdict {
    let busy = busy_looks(ctx)?;
    demand(
        busy < LOOKS / 2,
        "a server that waits",
        format!("it was busy at {busy} of {LOOKS} looks"),
    )
}

/// The server asks everybody all the time, and so it never rests.
pub(super) fn never_rests(ctx: &mut Ctx<'_>) -> Verdict {
    ctx.is_well()?;
    let busy = busy_looks(ctx)?;
    demand(
        busy > LOOKS / 2,
        "a server that asks all the time, with nobody there",
        format!("it was busy at {busy} of {LOOKS} looks"),
    )
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

pub(super) const CASES: &[Case] = &[
    case("descriptors", Security, "close(2); CWE-772", "After every kind of client the number of descriptors is what it was", |ctx| {
        for _ in 0..2 {
            all_kinds(ctx)?;
        }
        let pid = ctx.pid()?;
        // The last client may not be gone yet: the least of several looks counts.
        let mut before = known(proc::descriptors(pid))?;
        for _ in 0..50 {
            std::thread::sleep(Duration::from_millis(4));
            before = before.min(known(proc::descriptors(pid))?);
        }
        for _ in 0..10 {
            all_kinds(ctx)?;
        }
        until_back(ctx, "descriptors", before, || proc::descriptors(pid))
    })
    .needs(PROCESS),
    case("threads_and_processes", Security, "wait(2), pthread_join(3)", "After every kind of client no thread, process or zombie is left", |ctx| {
        let pid = ctx.pid()?;
        ctx.is_well()?;
        for _ in 0..5 {
            all_kinds(ctx)?;
        }
        // Workers made once are not left over: they were there before.
        if ctx.stage.cost_of_idle().is_some() {
            until_back(ctx, "children", 0, || proc::children(pid).map(|all| all.len()))?;
        }
        until_back(ctx, "zombies", 0, || proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count()))?;
        let threads = known(proc::threads(pid))?;
        for _ in 0..5 {
            all_kinds(ctx)?;
        }
        until_back(ctx, "threads", threads, || proc::threads(pid))
    })
    .needs(PROCESS),
    case("zombies_without_new_clients", Security, "wait(2), SIGCHLD", "Children are reaped when they end, not when the next client comes", |ctx| {
        let pid = ctx.pid()?;
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            held.push(client);
        }
        drop(held);
        until_back(ctx, "zombies", 0, || proc::children(pid).map(|all| all.iter().filter(|c| c.zombie).count()))
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case("memory_over_time", Security, "CWE-401", "Two thousand clients leave no memory behind", |ctx| {
        for _ in 0..300 {
            ctx.is_well()?;
            ctx.ask(echo(&pattern(5000)))?.is(200)?;
        }
        let pid = ctx.pid()?;
        let before = known(proc::memory(pid))?;
        for _ in 0..1000 {
            ctx.is_well()?;
            ctx.ask(echo(&pattern(5000)))?.is(200)?;
        }
        ctx.until("less than 4096 KiB more than before", |_| {
            let grown = known(proc::memory(pid))?.saturating_sub(before);
            Ok(if grown < 4096 { Ok(()) } else { Err(format!("{grown} KiB more")) })
        })
    })
    .needs(&[Need::Process, Need::Plaintext, Need::Echo]),
    case("memory_of_idle_clients", Security, "CWE-770", "A hundred idle clients need little memory", |ctx| {
        grows_less_than(ctx, 100, &get("/plaintext"), 8 * 1024)
    })
    .clients(105)
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case("memory_of_a_crowd_of_idle_clients", Security, "CWE-770", "Of a client that was answered and is idle, nothing is kept that is only needed to serve it: no buffer, no stack, no future", |ctx| {
        ctx.serve(&[("idle-timeout", "600")])?;
        // Where each has a thread or waits for one, that is what it costs.
        if !matches!(ctx.stage.model, Model::Events { .. } | Model::Spinning | Model::Coroutines) {
            return ctx.is_well();
        }
        let grown = growth(ctx, CROWD, &get("/plaintext"))?;
        let most = CROWD as u64; // a KiB each: the largest of ours has an eighth of that
        demand(grown < most, format!("less than {most} KiB more with {CROWD} such clients"), format!("{grown} KiB more"))
    })
    .clients(CROWD + 5)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .level(3)
    .book("Chapter 6, \"Idle without a stack\""),
    case("memory_of_those_that_never_read", Security, "CWE-770", "Twenty clients that ask for a gigabyte each and do not read need little memory", |ctx| {
        grows_less_than(ctx, 20, &get("/bytes/1073741824").repeat(100), 16 * 1024)
    })
    .clients(25)
    .needs(&[Need::Process, Need::Plaintext, Need::Bytes, Need::Many])
    .book(NEVER_READS),
    case("memory_of_files", Security, "sendfile(2); CWE-770", "Twenty clients that do not read a large file do not bring it into memory twenty times", |ctx| {
        grows_less_than(ctx, 20, &get("/large.bin"), 16 * 1024)
    })
    .clients(25)
    .needs(&[Need::Process, Need::Plaintext, Need::Files, Need::Many])
    .book(NEVER_READS),
    case("memory_of_promises", Security, "CWE-789", "Content that is only announced needs no memory: forty times a mebibyte", |ctx| {
        grows_less_than(ctx, 40, &request("POST", "/echo", "Content-Length: 1048576\r\n"), 8 * 1024)
    })
    .clients(45)
    .needs(&[Need::Process, Need::Plaintext, Need::Echo, Need::Many]),
    case(
        "one_large_promise",
        Security,
        "CWE-789",
        "Nothing is reserved for content that is only announced: 90 gigabytes, where that is allowed",
        |ctx| {
            ctx.serve(&[("max-body", "100000000000")])?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 90000000000\r\n"))?;
                client.send("some")?;
                client.drained();
                client.reset();
                ctx.is_well()?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Echo]),
    case("promises_are_given_back", Security, "CWE-771", "What a request might have needed is given back when it is answered, though its connection stays", |ctx| {
        ctx.serve(&[("max-buffered", "65536")])?;
        let mut held = Vec::new();
        for _ in 0..12 {
            let mut client = ctx.client()?;
            let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
            // So much that more room is claimed for what may follow, and then nothing follows.
            client.send([&head[..], b"2ee0\r\n", &[b'x'; 0x2ee0]].concat())?;
            client.drained();
            client.send("\r\n0\r\n\r\n")?;
            client.response()?.is(200)?;
            held.push(client);
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Echo, Need::Many]),
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
    case("at_rest_is_no_work", Security, "poll(2)", "With ten idle clients the server uses no processor time", |ctx| {
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut client = ctx.client()?;
            client.send(get("/plaintext"))?;
            client.response()?.is(200)?;
            held.push(client);
        }
        waits(ctx)
    })
    .about(AtRest, never_rests)
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
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

/// A server whose workers are made once, and cannot all be made, says so in one line and
/// ends: with fewer it would be exhausted later, and nobody would know why.
fn does_not_start(ctx: &mut Ctx<'_>, workers: &str, few: Bounds) -> Verdict {
    // It may say that it listens before it makes them, or not.
    let _ = ctx.serve_within(&[(workers, "50")], few);
    let Some(server) = ctx.started() else { return Ok(()) };
    let status = server.wait()?;
    demand(!status.success(), "a status other than 0", Server::describe(status))?;
    let said = server.stderr();
    let helpful = said.lines().count() == 1 && said.contains(&format!("--{workers}"));
    demand(helpful, format!("one line that names --{workers}"), said)?;
    let pid = server.pid()?;
    ctx.until("no process of the server's is left", |_| match proc::group(pid) {
        Some(0) | None => Ok(Ok(())),
        Some(left) => Ok(Err(format!("{left} left"))),
    })?;
    ctx.done_with_server();
    Ok(())
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
    std::fs::copy(path, &copy).map_err(skip)?;
    Ok((base, Target::Binary(copy)))
}
