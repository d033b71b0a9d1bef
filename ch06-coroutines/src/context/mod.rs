//! The context switch: leaves one stack for another, within one thread.
//!
//! Each processor has a file with three functions: `prepare` makes a fresh stack look like one that
//! was left by a switch, `switch` leaves the current stack and continues another, and `start` is
//! the first frame of every fresh stack. [`variants`] has other implementations of the switch; only
//! the book uses them, for comparison.
//!
//! The switch deliberately saves neither the control words of floating point (x86 MXCSR and x87 CW,
//! ARM FPCR), which Rust code must not change, nor the signal mask, which belongs to the thread.
#![allow(unsafe_code)]

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
pub(crate) mod processor;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod variants;

/// The functions for a processor without a switch, so that the crate compiles. They are never
/// called, because `StackPool::new` returns an error.
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

/// The saved stack pointer of a stack that is not running. The words that `switch` needs to
/// continue the stack begin at this address; bytes below the address are not preserved.
pub(crate) type SavedSp = *mut u8;

/// The result of `switch`, which returns when another stack switches back to the calling one.
#[repr(C)]
pub(crate) struct Switched {
    /// The saved stack pointer of the other stack, which has just been left.
    pub(crate) from: SavedSp,
    /// The message that the other stack has passed to its call to `switch`.
    pub(crate) message: usize,
}

/// The function that runs first on a fresh stack, and never returns. Its arguments are: the saved
/// stack pointer of the stack that has switched to the fresh one, the message passed to that call
/// to `switch`, and the argument given to `prepare`.
pub(crate) type Entry =
    unsafe extern "C" fn(from: SavedSp, message: usize, argument: *mut u8) -> !;
