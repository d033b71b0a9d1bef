//! The request line: method, target, version.

mod form;
mod method;
mod target;
mod version;

use crate::case::Case;

pub(super) const CASES: &[&[Case]] =
    &[form::CASES, version::CASES, method::CASES, target::CASES];
