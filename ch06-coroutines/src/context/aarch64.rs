//! The switch for 64-bit ARM.
//!
//! A stack that was left looks like this. It grows downwards, so its newest word is at
//! the bottom of the picture:
//!
//! ```text
//!                                   a fresh one (`prepare`)
//!        │ …the caller's frame │    top ──► (16-byte aligned)
//!        ├─────────────────────┤         ├─────────────────────┤
//!   +24  │ (nothing)           │    +24  │ (nothing)           │
//!   +16  │ where to go on      │    +16  │ `start`             │
//!    +8  │ x19                 │     +8  │ entry               │
//!    +0  │ x29                 │     +0  │ argument            │
//!        └─────────────────────┘         └─────────────────────┘
//!          ▲ Left                          ▲ Left
//! ```
//!
//! The stack pointer is always a multiple of 16 here, or the processor refuses to use it.
#![allow(unsafe_code)]

use super::{Arrival, Entry, Left};
use std::arch::{asm, naked_asm};

/// There is a switch for this processor.
pub(crate) const SUPPORTED: bool = true;

/// Makes a stack look as if it had been left by a switch, at the beginning of `entry`.
///
/// # Safety
/// `top` is 16-byte aligned, and the 32 bytes below it can be written.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left {
    // SAFETY: within the 32 bytes that the caller promises, so it stays in the stack.
    let left = unsafe { top.sub(32) };
    let words: [usize; 4] =
        [argument as usize, entry as usize, start as *const () as usize, 0];
    // SAFETY: these 32 bytes are the caller's to write, and aligned, as `top` is.
    unsafe { left.cast::<[usize; 4]>().write(words) };
    left
}

// ANCHOR: switch
/// Leaves this stack, and goes on with the one that was left at `to`. Hands over a
/// message, and where this stack was left. Returns when somebody comes back here: with
/// where *he* has left, and his message.
///
/// Every register but three is declared lost, so the *compiler* saves those that hold
/// something, where this is inlined: mostly none. The three: x29 and x19, which it does not
/// let go of, and x18, which is the system's and which nobody touches.
///
/// # Safety
/// `to` was left by `switch` or made by `prepare`, on this thread; its stack still exists,
/// and nobody has gone on with it since.
#[inline(always)]
pub(crate) unsafe fn switch(to: Left, message: usize) -> Arrival {
    let (from, answer);
    // SAFETY: the block takes four words of this stack, and nothing below them is of use
    // to anybody, as without `nostack` the compiler keeps nothing there. When somebody
    // goes on at 2, sp is again what it was, by this function's contract; so x29 and x19
    // come back, and all the rest is declared lost.
    unsafe {
        asm!(
            // x0 = to, x1 = message
            "adr x9, 2f",
            "stp x29, x19, [sp, #-32]!",
            "str x9, [sp, #16]",
            "mov x9, sp",           // this stack is left here…
            "mov sp, x0",           // …and that is the other
            "mov x0, x9",
            "ldr x9, [sp, #16]",    // where to go on; not `ret`, see `slow.rs`
            "br x9",
            // Somebody has come back. sp = `Left`, x0 = where he has left,
            // x1 = his message, all others = whatever they were there.
            "2:",
            "ldp x29, x19, [sp], #32",
            inout("x0") to => from,
            inout("x1") message => answer,
            lateout("x9") _,
            lateout("x20") _,
            lateout("x21") _,
            lateout("x22") _,
            lateout("x23") _,
            lateout("x24") _,
            lateout("x25") _,
            lateout("x26") _,
            lateout("x27") _,
            lateout("x28") _,
            clobber_abi("C"),
        );
    }
    Arrival { from, message: answer }
}
// ANCHOR_END: switch

/// Where a fresh stack begins: calls the entry. For whoever walks the stack, a debugger or a
/// panic's backtrace, it ends here: there is no return address (`.cfi_undefined`), and
/// the chain of frame pointers is over (x29 is zero).
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(
        // sp = `Left`, x0 = from, x1 = the message
        ".cfi_startproc",
        ".cfi_undefined x30",
        "ldp x2, x9, [sp], #32", // the argument, the entry
        "mov x29, xzr",
        "mov x30, xzr",
        "blr x9",
        "brk #1", // it does not return
        ".cfi_endproc",
    )
}
