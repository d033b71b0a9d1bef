//! The switch for x86-64, on every system but Windows.
//!
//! A stack that was left looks like this. It grows downwards, so its newest word is at
//! the bottom of the picture:
//!
//! ```text
//!                                   a fresh one (`prepare`)
//!        │ …the caller's frame │    top ──► (16-byte aligned)
//!        ├─────────────────────┤         ├─────────────────────┤
//!   +16  │ rbp                 │    +16  │ entry               │
//!    +8  │ rbx                 │     +8  │ argument            │
//!    +0  │ where to go on      │     +0  │ `start`             │
//!        └─────────────────────┘         └─────────────────────┘
//!          ▲ Left                          ▲ Left
//! ```
#![allow(unsafe_code)]

use super::{Arrival, Entry, Left};
use std::arch::{asm, naked_asm};

/// There is a switch for this processor.
pub(crate) const SUPPORTED: bool = true;

// ANCHOR: prepare
/// Makes a stack look as if it had been left by a switch, at the beginning of `entry`.
///
/// # Safety
/// `top` is 16-byte aligned, and the 24 bytes below it can be written.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left {
    // SAFETY: within the 24 bytes that the caller promises, so it stays in the stack.
    let left = unsafe { top.sub(24) };
    let words: [usize; 3] =
        [start as *const () as usize, argument as usize, entry as usize];
    // SAFETY: these 24 bytes are the caller's to write, and aligned, as `top` is.
    unsafe { left.cast::<[usize; 3]>().write(words) };
    left
}
// ANCHOR_END: prepare

// ANCHOR: switch
/// Leaves this stack, and goes on with the one that was left at `to`. Hands over a
/// message, and where this stack was left. Returns when somebody comes back here: with
/// where *he* has left, and his message.
///
/// Every register but two is declared lost, so the *compiler* saves those that hold
/// something, where this is inlined: mostly none. The two are those that it does not let
/// go of, rbx and rbp.
///
/// # Safety
/// `to` was left by `switch` or made by `prepare`, on this thread; its stack still exists,
/// and nobody has gone on with it since.
#[inline(always)]
pub(crate) unsafe fn switch(to: Left, message: usize) -> Arrival {
    let (from, answer);
    // SAFETY: the block pushes three words onto this stack, and nothing below them is of
    // use to anybody, as without `nostack` the compiler keeps nothing there. When
    // somebody goes on at 2, he has taken rsp from where it was left and popped one word,
    // by this function's contract; so rbx and rbp come back, and all the rest is
    // declared lost.
    unsafe {
        asm!(
            // rdi = to, rsi = message
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov rax, rsp",         // this stack is left here…
            "mov rsp, rdi",         // …and that is the other
            "mov rdi, rax",
            "pop rax",              // where to go on; not `ret`, see `slow.rs`
            "jmp rax",
            // Somebody has come back. rsp = just above the word at `Left`, rdi = where
            // he has left, rsi = his message, all others = whatever they were there.
            "2:",
            "pop rbx",
            "pop rbp",
            inout("rdi") to => from,
            inout("rsi") message => answer,
            lateout("rax") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    Arrival { from, message: answer }
}
// ANCHOR_END: switch

// ANCHOR: start
/// Where a fresh stack begins: calls the entry. For whoever walks the stack, a debugger or a
/// panic's backtrace, it ends here: there is no return address (`.cfi_undefined`), and
/// the chain of frame pointers is over (rbp is zero).
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(
        // rsp = just above the word at `Left`, rdi = from, rsi = the message
        ".cfi_startproc",
        ".cfi_undefined rip",
        "pop rdx", // the argument
        "pop rax", // the entry
        "xor ebp, ebp",
        "call rax", // rsp = top, 16-byte aligned, as the ABI wants it
        "ud2",      // it does not return
        ".cfi_endproc",
    )
}
// ANCHOR_END: start
