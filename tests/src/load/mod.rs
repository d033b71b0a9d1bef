//! Load: many clients on one thread ask one server for one thing, again and again, and
//! measure what it does.
//!
//! *Closed loop*: each connection asks again when it has been answered. A server that stalls
//! is asked less, so its stall is counted once for each connection that waited, however many
//! would have come meanwhile: such latencies describe these clients, not a world that goes
//! on asking. *Open loop* ([`Plan::rate`]): requests are due at times that do not depend on
//! the answers, and latency counts from the moment at which a request *should* have been
//! sent, so that a stall is felt by everybody who would have come in it.

mod plan;

use std::io;

pub use plan::{Errors, Outcome, Phase, Plan};

/// Carries out the plan, and tells the observer of each phase as it begins.
///
/// The observer may read the server's accounts: nothing is under way when it is told of the
/// first [`Phase::Measuring`] and of [`Phase::Finished`]. Before each of the two, no more is
/// asked, and what was asked is waited for. So exactly the requests that are counted happen
/// between the two, with the one exception that an [`Outcome`] names: requests
/// which are [`unanswered`](Outcome::unanswered), because the server lets them wait.
pub fn run(plan: &Plan, observer: &mut dyn FnMut(&Phase)) -> io::Result<Outcome> {
    let _ = (plan, observer);
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
