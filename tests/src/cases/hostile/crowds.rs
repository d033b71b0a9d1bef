//! Many clients that stall: silent clients, clients that send half a head, and clients that do not
//! read.

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::verdict::Verdict;

/// Asserts that other clients are served while `count` clients have sent `bytes` and stall.
fn served_beside_many(ctx: &mut Ctx<'_>, count: usize, bytes: &[u8]) -> Verdict {
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..count {
        let mut client = ctx.small_client()?;
        client.send(bytes)?;
        held.push(client);
    }
    for _ in 0..3 {
        ctx.assert_healthy()?;
    }
    drop(held);
    ctx.assert_healthy()
}

pub(super) const CASES: &[Case] = &[
    case(
        "silent_clients",
        Security,
        "accept(2)",
        "Other clients are served beside fifty silent clients",
        |ctx| served_beside_many(ctx, 50, b""),
    )
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"Two clients\""),
    case(
        "slowloris",
        Security,
        "CWE-400",
        "Other clients are served beside fifty clients with half a head",
        |ctx| served_beside_many(ctx, 50, b"GET /plaintext HTTP/1.1\r\nHost: sui"),
    )
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"The client that never ends its request\""),
    case(
        "never_readers",
        Security,
        "CWE-400",
        "Other clients are served beside twenty clients that do not read",
        |ctx| served_beside_many(ctx, 20, &get("/bytes/50000000")),
    )
    .clients(25)
    .needs(&[Need::Many, Need::Bytes])
    .book("Chapter 1, \"The client that never reads\""),
];
