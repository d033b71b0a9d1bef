//! Many clients that keep still: in silence, with half a head, or without reading.

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get};
use crate::verdict::Verdict;

/// Several clients send this and keep still; then others are served.
fn served_beside_many(ctx: &mut Ctx<'_>, count: usize, bytes: &[u8]) -> Verdict {
    let mut held: Vec<Client> = Vec::new();
    for _ in 0..count {
        let mut client = ctx.small_client()?;
        client.send(bytes)?;
        held.push(client);
    }
    for _ in 0..3 {
        ctx.is_well()?;
    }
    drop(held);
    ctx.is_well()
}

pub(super) const CASES: &[Case] = &[
    case(
        "silent_clients",
        Security,
        "accept(2)",
        "Fifty silent clients do not keep others waiting",
        |ctx| served_beside_many(ctx, 50, b""),
    )
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"Two clients\""),
    case(
        "slowloris",
        Security,
        "CWE-400",
        "Fifty clients with half a head do not keep others waiting",
        |ctx| served_beside_many(ctx, 50, b"GET /plaintext HTTP/1.1\r\nHost: sui"),
    )
    .clients(55)
    .needs(&[Need::Many])
    .book("Chapter 1, \"The client that never ends its request\""),
    case(
        "never_readers",
        Security,
        "CWE-400",
        "Twenty clients that do not read do not keep others waiting",
        |ctx| served_beside_many(ctx, 20, &get("/bytes/50000000")),
    )
    .clients(25)
    .needs(&[Need::Many, Need::Bytes])
    .book("Chapter 1, \"The client that never reads\""),
];
