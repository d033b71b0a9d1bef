//! The switch for 64-bit ARM.
//!
//! A stack that a switch has left looks like this. Stacks grow downwards, so the newest
//! word is at the bottom of the drawing:
//!
//! ```text
//!                                   a fresh one (`prepare`)
//!        │ …the caller's frame │    top ──► (16-byte aligned)
//!        ├─────────────────────┤         ├─────────────────────┤
//!   +24  │ (unused)            │    +24  │ (unused)            │
//!   +16  │ resume address      │    +16  │ `start`             │
//!    +8  │ x19                 │     +8  │ entry               │
//!    +0  │ x29                 │     +0  │ argument            │
//!        └─────────────────────┘         └─────────────────────┘
//!          ▲ SavedSp                       ▲ SavedSp
//! ```
//!
//! The stack pointer is always a multiple of 16: the processor faults when a load or a
//! store uses a misaligned one as its base address.
#![allow(unsafe_code)]

use crate::context::{Entry, SavedSp, Switched};
use std::arch::{asm, naked_asm};

/// Whether the context switch is implemented for this processor.
pub(crate) const SUPPORTED: bool = true;

/// Makes a fresh stack look as if a switch had left it at the beginning of `entry`, which will
/// receive `argument`. Returns the fresh stack's saved stack pointer.
///
/// # Safety
///
/// `top` is 16-byte aligned, and the 32 bytes below it can be written.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> SavedSp {
    // SAFETY: the caller promises 32 bytes below `top`, so the address is in the stack.
    let sp = unsafe { top.sub(32) };
    let words: [usize; 4] =
        [argument as usize, entry as usize, start as *const () as usize, 0];
    // SAFETY: the caller may write these 32 bytes, and `sp` is 16-byte aligned, as `top` is.
    unsafe { sp.cast::<[usize; 4]>().write(words) };
    sp
}

// ANCHOR: switch
/// Leaves this stack, continues the stack that was left at `to`, and passes `message`
/// to that stack. When another stack switches back to this one, returns that stack's
/// saved stack pointer and its message.
///
/// The assembly saves x29 and x19, which `asm!` does not accept as operands, leaves out
/// x18, which belongs to the system, and declares all other registers lost. So where
/// this function is inlined, the *compiler* saves only the registers that hold a value
/// there: mostly none.
///
/// # Safety
///
/// `to` was returned by `prepare` or handed over by `switch`, on this thread; its stack
/// still exists, and nothing has continued it since.
#[inline(always)]
pub(crate) unsafe fn switch(to: SavedSp, message: usize) -> Switched {
    let (from, answer);
    // SAFETY: the block takes four words of this stack. No value lies below the stack
    // pointer, because the block is not declared `nostack`. By this function's
    // contract, sp is the saved stack pointer again when another stack jumps to label
    // 2. So x29 and x19 are restored, and all other registers are declared lost.
    unsafe {
        asm!(
            // On entry: x0 = to, x1 = message.
            "adr x9, 2f",
            "stp x29, x19, [sp, #-32]!",
            "str x9, [sp, #16]",
            "mov x9, sp",           // where this stack is left
            "mov sp, x0",           // where the other was left
            "mov x0, x9",
            "ldr x9, [sp, #16]",    // the resume address; not `ret`, see `variants.rs`
            "br x9",
            // When another stack switches back to this one: sp = the saved stack
            // pointer, x0 = the other stack's saved stack pointer, x1 = its message;
            // all other registers have the other stack's values.
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
    Switched { from, message: answer }
}
// ANCHOR_END: switch

/// The first frame of a fresh stack, which calls the stack's entry function. A debugger or a
/// panic's backtrace that walks the stack ends here: there is no return address (`.cfi_undefined`),
/// and the chain of frame pointers ends (x29 is zero).
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(
        // On entry: sp = the saved stack pointer, x0 = the saved stack pointer of the stack that
        // has switched here, x1 = its message.
        ".cfi_startproc",
        ".cfi_undefined x30",
        "ldp x2, x9, [sp], #32", // the argument, the entry
        "mov x29, xzr",
        "mov x30, xzr",
        "blr x9",
        "brk #1", // the entry does not return
        ".cfi_endproc",
    )
}
