//! Mistakes that servers make when one thread handles many clients and their events.
//!
//! Every server must pass these cases; a server with a thread per client passes most of them
//! without effort.

mod idle;
mod isolation;
mod readiness;

use crate::case::{Case, Need};

pub(super) const CASES: &[&[Case]] = &[readiness::CASES, isolation::CASES, idle::CASES];

const PLAIN: &[Need] = &[Need::Plaintext];

/// An idle timeout, in seconds, so long that it does not hide a missed event.
const NEVER_IDLE: (&str, &str) = ("idle-timeout", "600");
