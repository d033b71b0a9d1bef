//! Hostile and clumsy clients: none of them ends the server or hurts another.

mod crowds;
mod noise;
mod panics;
mod resets;

use crate::case::{Case, Need};

pub(super) const CASES: &[&[Case]] =
    &[resets::CASES, crowds::CASES, noise::CASES, panics::CASES];

const PLAIN: &[Need] = &[Need::Plaintext];
