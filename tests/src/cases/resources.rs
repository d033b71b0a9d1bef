//! Resources: clients leave nothing behind, and the server survives when descriptors, threads or
//! processes run out.

mod exhaustion;
pub(super) mod idle;
mod leaks;
mod memory;
mod startup;

use crate::case::{Case, Need};
use crate::proc::unreported;
use crate::verdict::CaseResult;

pub(super) const CASES: &[&[Case]] =
    &[leaks::CASES, memory::CASES, exhaustion::CASES, startup::CASES, idle::CASES];

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];

/// Returns a fact about the server's process, or ends the case if the system does not report the
/// fact (`None`): see [`unreported`].
pub(super) fn known<T>(value: Option<T>) -> CaseResult<T> {
    value.ok_or_else(unreported)
}
