//! The memory that open connections need if their clients are idle, do not read, or only announce
//! content.

use nix::sys::resource::rlim_t;

use super::known;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, request};
use crate::environment::require_descriptors;
use crate::proc;
use crate::profile::Model;
use crate::verdict::{CaseResult, Verdict, ensure};

const NEVER_READS: &str = "Chapter 1, \"The client that never reads\"";

/// Returns the growth of the server's memory, in KiB, while `clients` connections are open on which
/// each client has sent `bytes`.
fn growth(ctx: &mut Ctx<'_>, clients: usize, bytes: &[u8]) -> CaseResult<u64> {
    for _ in 0..20 {
        ctx.assert_healthy()?;
    }
    let pid = ctx.pid()?;
    let before = known(proc::memory(pid))?;
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..clients {
        let mut client = ctx.small_client()?;
        client.send(bytes)?;
        client.wait_until_read();
        held.push(client);
    }
    // Serving one more client gives the server time to handle what it has read from the others.
    ctx.assert_healthy()?;
    let after = known(proc::memory(pid))?;
    drop(held);
    Ok(after.saturating_sub(before))
}

/// Number of idle clients: fewer than a server that waits with `select` supports.
const CROWD: usize = 900;

fn grows_less_than(
    ctx: &mut Ctx<'_>,
    clients: usize,
    bytes: &[u8],
    most: u64,
) -> Verdict {
    let each = match ctx.profile.model {
        // Each client's child process shares anonymous pages with the parent, and `memory` counts
        // these pages again for each child, so the bound rises by 1 MiB per client.
        Model::ProcessPerClient => 1024,
        // The child processes exist before the clients connect, but each takes more memory when it
        // first serves a client, so the bound rises by 512 KiB per client.
        Model::PoolOfProcesses => 512,
        _ => 128,
    };
    let most = most + each * clients as u64;
    let grown = growth(ctx, clients, bytes)?;
    ensure(
        grown < most,
        format!("less than {most} KiB more with {clients} such clients"),
        format!("{grown} KiB more"),
    )
}

pub(super) const CASES: &[Case] = &[
    case("memory_of_idle_clients", Security, "CWE-770", "100 idle clients need little memory", |ctx| {
        grows_less_than(ctx, 100, &get("/plaintext"), 8 * 1024)
    })
    .clients(105)
    .needs(&[Need::Process, Need::Plaintext, Need::Many]),
    case("memory_of_a_crowd_of_idle_clients", Security, "CWE-770", "An idle client keeps nothing that is needed only while it is served: no buffer, no stack, no future", |ctx| {
        ctx.serve(&[("idle-timeout", "600")])?;
        // With a thread or process per client, an idle client costs at least a thread or process,
        // so the growth is not limited here.
        if !matches!(ctx.profile.model, Model::Events { .. } | Model::Spinning | Model::Coroutines) {
            return ctx.assert_healthy();
        }
        require_descriptors(CROWD as rlim_t)?;
        let grown = growth(ctx, CROWD, &get("/plaintext"))?;
        let most = CROWD as u64; // 1 KiB per client; the book's servers need an eighth of that
        ensure(grown < most, format!("less than {most} KiB more with {CROWD} such clients"), format!("{grown} KiB more"))
    })
    .clients(CROWD + 5)
    .needs(&[Need::Process, Need::Plaintext, Need::Many])
    .level(3)
    .book("Chapter 6, \"Idle without a stack\""),
    case("memory_of_clients_that_never_read", Security, "CWE-770", "20 clients that each request a gigabyte and do not read need little memory", |ctx| {
        grows_less_than(ctx, 20, &get("/bytes/1073741824").repeat(100), 16 * 1024)
    })
    .clients(25)
    .needs(&[Need::Process, Need::Plaintext, Need::Bytes, Need::Many])
    .book(NEVER_READS),
    case("memory_of_files", Security, "sendfile(2); CWE-770", "20 clients that do not read a large file do not make the server hold it in memory 20 times", |ctx| {
        grows_less_than(ctx, 20, &get("/large.bin"), 16 * 1024)
    })
    .clients(25)
    .needs(&[Need::Process, Need::Plaintext, Need::Files, Need::Many])
    .book(NEVER_READS),
    case("memory_of_promises", Security, "CWE-789", "Content that is only announced needs no memory: 40 clients with 1 MiB each", |ctx| {
        grows_less_than(ctx, 40, &request("POST", "/echo", "Content-Length: 1048576\r\n"), 8 * 1024)
    })
    .clients(45)
    .needs(&[Need::Process, Need::Plaintext, Need::Echo, Need::Many]),
    case(
        "one_large_promise",
        Security,
        "CWE-789",
        "The server allocates nothing for 90 GB of content that is only announced, with a --max-body above that",
        |ctx| {
            ctx.serve(&[("max-body", "100000000000")])?;
            for _ in 0..3 {
                let mut client = ctx.client()?;
                client.send(request("POST", "/echo", "Content-Length: 90000000000\r\n"))?;
                client.send("some")?;
                client.wait_until_read();
                client.reset();
                ctx.assert_healthy()?;
            }
            Ok(())
        },
    )
    .needs(&[Need::Process, Need::Plaintext, Need::Echo]),
    case("promises_are_given_back", Security, "CWE-771", "Memory reserved for a request is released when it is answered, though the connection stays open", |ctx| {
        ctx.serve(&[("max-buffered", "65536")])?;
        let mut held = Vec::new();
        for _ in 0..12 {
            let mut client = ctx.client()?;
            let head = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
            // The chunk is large enough for the server to reserve memory for more content, but no
            // more content follows.
            client.send([&head[..], b"2ee0\r\n", &[b'x'; 0x2ee0]].concat())?;
            client.wait_until_read();
            client.send("\r\n0\r\n\r\n")?;
            client.response()?.is(200)?;
            held.push(client);
        }
        Ok(())
    })
    .needs(&[Need::Process, Need::Echo, Need::Many]),
];
