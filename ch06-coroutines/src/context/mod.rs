//! The context switch: from one stack to another, within one thread.
//!
//! What is written for each processor is as little as there can be: `prepare` makes a
//! fresh stack look as if somebody had left it by a switch, and `switch` leaves one
//! stack and goes on with another. What a coroutine is made of beside that lies at the
//! `bottom` of its stack.
//!
//! Not saved, on purpose: the control words of floating point (x86 MXCSR and x87 CW, ARM
//! FPCR). Rust allows nobody to change them, so they are the same on both sides. And
//! the signal mask, which is the thread's.
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod bottom;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod missing;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod slow;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as processor;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use missing as processor;
#[cfg(target_arch = "x86_64")]
use x86_64 as processor;

pub(crate) use processor::{SUPPORTED, prepare, switch};

/// Where a stack was left: its stack pointer, below which nothing is kept, and at which
/// lies what [`switch`] needs to go on there.
pub(crate) type Left = *mut u8;

/// Somebody has come from another stack.
#[repr(C)]
pub(crate) struct Arrival {
    /// Where he has left it.
    pub(crate) from: Left,
    /// What he says.
    pub(crate) message: usize,
}

/// What runs first on a fresh stack. It is given where the stack was left from which the
/// first switch came, the message, and `prepare`'s argument; it has nowhere to return to.
pub(crate) type Entry =
    unsafe extern "C" fn(from: Left, message: usize, argument: *mut u8) -> !;
