//! The cases about deadlines. Each deadline covers a whole phase of a connection, so that a client
//! cannot extend the deadline by sending a byte per second.
//!
//! No case measures how long the server waits. The order of events proves a deadline: the server
//! responds before a slow client has sent its last byte.

mod content;
mod head;
mod idle;
mod linger;
mod write;

use std::time::Duration;

use crate::case::{Case, Need};
use crate::client::Client;
use crate::ctx::Ctx;
use crate::verdict::{Verdict, ensure};

/// The cases about deadlines, in the order in which a connection goes through the phases.
pub(super) const CASES: &[&[Case]] =
    &[idle::CASES, head::CASES, content::CASES, write::CASES, linger::CASES];

const PACE: Duration = Duration::from_millis(50);

const PLAIN: &[Need] = &[Need::Plaintext];

/// Sends `bytes` in pieces of `size` bytes, one piece every [`PACE`], and asserts that the server
/// responds with 408 and closes before the last piece is sent. The client stops sending
/// after the suite's timeout: a server that waits longer counts as hung.
fn cut_while_dripping(client: &mut Client, bytes: &[u8], size: usize) -> Verdict {
    let cut = client.drip_until_timeout(bytes, size, PACE)?;
    ensure(
        cut,
        "a response before the client has sent its last byte",
        "no response until the client had sent its last byte",
    )?;
    Ctx::assert_refusal(client, &[408])
}
