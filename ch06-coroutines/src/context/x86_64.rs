//! The switch for x86-64, on every system but Windows.
//!
//! A stack that a switch has left looks like this. Stacks grow downwards, so the newest
//! word is at the bottom of the drawing:
//!
//! ```text
//!                                   a fresh one (`prepare`)
//!        │ …the caller's frame │    top ──► (16-byte aligned)
//!        ├─────────────────────┤         ├─────────────────────┤
//!   +16  │ rbp                 │    +16  │ entry               │
//!    +8  │ rbx                 │     +8  │ argument            │
//!    +0  │ resume address      │     +0  │ `start`             │
//!        └─────────────────────┘         └─────────────────────┘
//!          ▲ SavedSp                       ▲ SavedSp
//! ```
#![allow(unsafe_code)]

use crate::context::{Entry, SavedSp, Switched};
use std::arch::{asm, naked_asm};

/// Whether the context switch is implemented for this processor.
pub(crate) const SUPPORTED: bool = true;

// ANCHOR: prepare
/// Makes a fresh stack look as if a switch had left it at the beginning of `entry`,
/// which will receive `argument`. Returns the fresh stack's saved stack pointer.
///
/// # Safety
///
/// `top` is 16-byte aligned, and the 24 bytes below it can be written.
pub(crate) unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> SavedSp {
    // SAFETY: the caller promises 24 bytes below `top`, so the address is in the stack.
    let sp = unsafe { top.sub(24) };
    let words: [usize; 3] =
        [start as *const () as usize, argument as usize, entry as usize];
    // SAFETY: the caller may write these 24 bytes, and `sp` is 8-byte aligned.
    unsafe { sp.cast::<[usize; 3]>().write(words) };
    sp
}
// ANCHOR_END: prepare

// ANCHOR: switch
/// Leaves this stack, continues the stack that was left at `to`, and passes `message`
/// to that stack. When another stack switches back to this one, returns that stack's
/// saved stack pointer and its message.
///
/// The assembly saves rbx and rbp, which `asm!` does not accept as operands, and
/// declares all other registers lost. So where this function is inlined, the *compiler*
/// saves only the registers that hold a value there: mostly none.
///
/// # Safety
///
/// `to` was returned by `prepare` or handed over by `switch`, on this thread; its stack
/// still exists, and nothing has continued it since.
#[inline(always)]
pub(crate) unsafe fn switch(to: SavedSp, message: usize) -> Switched {
    let (from, answer);
    // SAFETY: the block pushes three words onto this stack. No value lies below the
    // stack pointer, because the block is not declared `nostack`. By this function's
    // contract, the code that jumps to label 2 has taken rsp from the saved stack
    // pointer and popped one word. So rbx and rbp are restored, and all other registers
    // are declared lost.
    unsafe {
        asm!(
            // On entry: rdi = to, rsi = message.
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",
            "mov rax, rsp",         // where this stack is left
            "mov rsp, rdi",         // where the other was left
            "pop rcx",              // the resume address; not `ret`, see `variants.rs`
            "jmp rcx",
            // When another stack switches back to this one: rsp = just above the word
            // at the saved stack pointer, rax = the other stack's saved stack pointer,
            // rsi = its message; all other registers have the other stack's values.
            "2:",
            "pop rbx",
            "pop rbp",
            inout("rdi") to => _,
            inout("rsi") message => answer,
            lateout("rax") from,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    Switched { from, message: answer }
}
// ANCHOR_END: switch

// ANCHOR: start
/// The first frame of a fresh stack, which calls the stack's entry function. A debugger
/// or a panic's backtrace that walks the stack ends here: there is no return address
/// (`.cfi_undefined`), and the chain of frame pointers ends (rbp is zero).
#[unsafe(naked)]
unsafe extern "C" fn start() -> ! {
    naked_asm!(
        // On entry: rsp = just above the word at the saved stack pointer, rax = the
        // saved stack pointer of the stack that has switched here, rsi = its message.
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rdi, rax", // from, as the entry's first argument
        "pop rdx",      // the entry's third argument: `argument`
        "pop rax",      // the entry
        "xor ebp, ebp",
        "call rax", // rsp = top, 16-byte aligned, as the ABI wants it
        "ud2",      // the entry does not return
        ".cfi_endproc",
    )
}
// ANCHOR_END: start
