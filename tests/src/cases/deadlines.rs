//! Deadlines. Each is for a whole phase, so that a byte a second defeats none.
//!
//! No case measures time: a deadline is proved by the order of events. The
//! server's answer came before the client, at its pace, could be done.

mod content;
mod head;
mod idle;
mod linger;
mod write;

use std::time::Duration;

use crate::case::{Case, Need};
use crate::client::Client;
use crate::ctx::Ctx;
use crate::verdict::{Verdict, demand};

/// In the order in which a connection comes to them.
pub(super) const CASES: &[&[Case]] =
    &[idle::CASES, head::CASES, content::CASES, write::CASES, linger::CASES];

const PACE: Duration = Duration::from_millis(50);

const PLAIN: &[Need] = &[Need::Plaintext];

/// Drips bytes in pieces, one each `PACE`; the server must say 408 and close
/// before the last is sent.
fn cut_while_dripping(client: &mut Client, bytes: &[u8], size: usize) -> Verdict {
    let cut = client.drip(bytes, size, PACE)?;
    demand(
        cut,
        "an answer before the last byte was sent",
        "the client could finish in its own time",
    )?;
    Ctx::is_refused(client, &[408])
}
