//! What a client costs while it is there: idle, not reading, or only announcing.

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, request};
use crate::proc;
use crate::stage::Model;
use crate::verdict::{Step, Verdict, demand};

const NEVER_READS: &str = "Chapter 1, \"The client that never reads\"";

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

pub(super) const CASES: &[Case] = &[
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
];
