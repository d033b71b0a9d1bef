//! The context switch: leaves one stack for another, within one thread.
//!
//! Each processor has a file with three functions: `prepare` makes a fresh stack look like
//! one that was left by a switch, `switch` leaves the current stack and continues another,
//! and `start` is the first frame of every fresh stack. [`variants`] holds the forms of the
//! switch that the book compares with this one; nothing else uses it.
//!
//! Not saved, on purpose: the control words of floating point (x86 MXCSR and x87 CW, ARM
//! FPCR), which Rust does not allow to be changed, and the signal mask, which belongs to
//! the thread.
#![allow(unsafe_code)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
pub(crate) mod processor;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod variants;

/// A processor without a switch. Everything compiles, and `StackPool::new` reports what is
/// missing, so nothing here is ever reached.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) mod processor {
    use crate::context::{Entry, SavedSp, Switched};

    pub(crate) const SUPPORTED: bool = false;

    pub(crate) unsafe fn prepare(_: *mut u8, _: Entry, _: *mut u8) -> SavedSp {
        unreachable!("there are no stacks on this processor")
    }

    pub(crate) unsafe fn switch(_: SavedSp, _: usize) -> Switched {
        unreachable!("there are no stacks on this processor")
    }
}

/// The stack pointer of a stack that is not running. Nothing below it is kept; at it lies
/// what `switch` needs to continue there.
pub(crate) type SavedSp = *mut u8;

/// What a switch to this stack hands over.
#[repr(C)]
pub(crate) struct Switched {
    /// Where the stack that switched here was left.
    pub(crate) from: SavedSp,
    /// Its message.
    pub(crate) message: usize,
}

/// The function that runs first on a fresh stack. Receives where the stack of the first
/// switch was left, the message, and `prepare`'s argument. It has nowhere to return to.
pub(crate) type Entry =
    unsafe extern "C" fn(from: SavedSp, message: usize, argument: *mut u8) -> !;
