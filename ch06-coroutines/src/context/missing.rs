//! A processor for which nobody has written the switch. Everything compiles, and
//! `Stacks::new` says what is missing, so that nothing here is ever reached.
#![allow(unsafe_code)]

use super::{Arrival, Entry, Left};

pub(crate) const SUPPORTED: bool = false;

pub(crate) unsafe fn prepare(_: *mut u8, _: Entry, _: *mut u8) -> Left {
    unreachable!("there are no stacks on this processor")
}

pub(crate) unsafe fn switch(_: Left, _: usize) -> Arrival {
    unreachable!("there are no stacks on this processor")
}
