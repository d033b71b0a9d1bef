//! What clients leave behind: nothing. And what is missing: nobody's death.

mod leftovers;
mod memory;
pub(super) mod rest;
mod shortage;

use crate::case::{Case, Need};
use crate::verdict::{Step, Stop};

pub(super) const CASES: &[&[Case]] =
    &[leftovers::CASES, memory::CASES, shortage::CASES, rest::CASES];

const PROCESS: &[Need] = &[Need::Process, Need::Plaintext];

/// What the system says of a process, where it says it.
pub(super) fn known<T>(value: Option<T>) -> Step<T> {
    value.ok_or_else(|| Stop::skip("no /proc on this system"))
}
