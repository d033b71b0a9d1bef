//! Hostile and faulty clients: none of them may stop the server or affect other clients.

mod crowds;
mod noise;
mod panics;
mod resets;

use crate::case::{Case, Need};

pub(super) const CASES: &[&[Case]] =
    &[resets::CASES, crowds::CASES, noise::CASES, panics::CASES];

const PLAIN: &[Need] = &[Need::Plaintext];
