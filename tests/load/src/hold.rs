//! Holding connections: every client sends one request at the start, stays idle for as long as the
//! caller likes, and finally sends one more request on the same connection.

use std::io;

use super::clients::Clients;
use super::plan::{Errors, Phase, Plan};
use super::{
    MAX_PENDING, REPORT_INTERVAL, RESERVED_DESCRIPTORS, drain, open,
    raise_descriptor_limit,
};

/// The outcome of [`hold`]: how many connections were opened and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HoldOutcome {
    /// Number of connections that were answered after they were opened.
    pub opened: usize,
    /// Number of the opened connections that were answered again after the pause, that is, when the
    /// function `meanwhile` of [`hold`] had returned.
    pub kept: usize,
    /// Numbers of failures by kind, for connections that were not opened, or opened but not kept.
    pub errors: Errors,
}

/// Holds [`Plan::idle`] connections.
///
/// Of the plan's other fields, only the address, host, path, content, and timeout matter.
/// `progress` is called about ten times a second with the number of clients answered, first for the
/// opening request and then for the closing request. Between the two requests, `meanwhile` is
/// called with the number of connections held, and may take as long as it likes. A lost connection
/// is not opened again.
///
/// # Errors
///
/// Fails if there are too few descriptors, if this system lacks a facility that the clients need,
/// or if `meanwhile` fails. Failures of connections are counted in the outcome instead.
pub fn hold(
    plan: &Plan,
    progress: &mut dyn FnMut(usize),
    meanwhile: impl FnOnce(usize) -> io::Result<()>,
) -> io::Result<HoldOutcome> {
    let plan = Plan { connections: 0, ..plan.clone() };
    raise_descriptor_limit(plan.idle + RESERVED_DESCRIPTORS)?;
    let mut clients = Clients::new(&plan)?;
    clients.stats.start_counting();
    open(&mut clients, &plan, &mut |phase| {
        if let Phase::Opening { open } = phase {
            progress(*open);
        }
    })?;
    drain(&mut clients)?;
    let opened = served(&clients);
    progress(opened);
    meanwhile(opened)?;
    send_to_all(&mut clients, progress)?;
    let kept = served(&clients);
    progress(kept);
    Ok(HoldOutcome { opened, kept, errors: clients.stats.errors })
}

/// Sends one more request on every connection that is still open.
fn send_to_all(
    clients: &mut Clients<'_>,
    progress: &mut dyn FnMut(usize),
) -> io::Result<()> {
    let mut last_report = clients.now();
    for index in 0..clients.connections.len() {
        clients.send_again(index)?;
        while clients.in_flight() >= MAX_PENDING {
            clients.poll_once(clients.now() + REPORT_INTERVAL)?;
        }
        if clients.now() >= last_report + REPORT_INTERVAL {
            last_report = clients.now();
            // Only the clients before `index` have sent again and are counted. In the later ones
            // `served` is still set by the response to their first request.
            progress(
                clients.connections[..index].iter().filter(|one| one.served).count(),
            );
        }
    }
    drain(clients)
}

/// Returns the number of open connections that have been answered.
fn served(clients: &Clients<'_>) -> usize {
    clients.connections.iter().filter(|one| one.served && one.is_open()).count()
}
