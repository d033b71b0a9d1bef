//! One thread, many clients, and news of them: what event code gets wrong. What is
//! promised here holds for every server; a thread for each client keeps most of it
//! without effort.

mod neighbours;
mod news;
mod rest;

use crate::case::{Case, Need};

pub(super) const CASES: &[&[Case]] = &[news::CASES, neighbours::CASES, rest::CASES];

const PLAIN: &[Need] = &[Need::Plaintext];

/// Nobody is to be helped by the end of idle time.
const NEVER_IDLE: (&str, &str) = ("idle-timeout", "600");
