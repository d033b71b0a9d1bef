//! Servers with a fixed number of workers: clients that find all workers occupied, workers that
//! become free again, and workers that fail and are replaced.

mod processes;
mod queue;
mod recovery;
mod shutdown;

use super::many::hold;
use crate::case::{Case, Need};
use crate::client::Client;
use crate::ctx::{Ctx, counter_in, get};
use crate::profile::Model::{PoolOfProcesses, PoolOfThreads};
use crate::profile::{Model, ServerProfile};
use crate::verdict::{CaseResult, Verdict};

pub(super) const CASES: &[&[Case]] =
    &[recovery::CASES, queue::CASES, shutdown::CASES, processes::CASES];

const POOLS: &[Model] = &[PoolOfThreads, PoolOfProcesses];
const THREADS: &[Model] = &[PoolOfThreads];

const PLAIN: &[Need] = &[Need::Plaintext, Need::Process];
const STATS: &[Need] = &[Need::Plaintext, Need::Stats, Need::Process];

const QUEUE: &str = "Chapter 2, \"The queue\" and \"When all workers are busy\"";

/// A timeout, in seconds, longer than any case lasts.
const NEVER: &str = "3600";

/// Returns the number of workers in the cases of this file, and the options that set this number.
fn few(profile: &ServerProfile) -> (usize, &'static [(&'static str, &'static str)]) {
    profile.capacity().unwrap_or((1, &[]))
}

/// Starts the server with few workers and `more` options, and occupies every worker with a client
/// that has been answered once.
fn occupy_workers(ctx: &mut Ctx<'_>, more: &[(&str, &str)]) -> CaseResult<Vec<Client>> {
    let (workers, options) = few(ctx.profile);
    ctx.serve(&[options, more].concat())?;
    hold(ctx, workers)
}

/// Connects one more client, for which no worker is free, and sends a request.
fn one_more(ctx: &mut Ctx<'_>) -> CaseResult<Client> {
    let mut client = ctx.client()?;
    client.send(get("/plaintext"))?;
    Ok(client)
}

/// Reads a counter of `/stats` on an existing connection.
fn counter(client: &mut Client, name: &str) -> CaseResult<u64> {
    client.send(get("/stats"))?;
    counter_in(&client.response()?, name)
}

/// Waits until the server's counter of accepted connections reaches `accepted`. The counter is read
/// through `busy`, because no worker is free to serve a new connection.
fn wait_until_accepted(ctx: &mut Ctx<'_>, busy: &mut Client, accepted: u64) -> Verdict {
    ctx.poll_until(&format!("`accepted` is {accepted}"), |_| {
        let now = counter(busy, "accepted")?;
        Ok(if now == accepted { Ok(()) } else { Err(format!("accepted: {now}")) })
    })
}
