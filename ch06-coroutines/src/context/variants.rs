//! Two other implementations of the switch, for comparison only: the book explains why they are
//! slower, its experiment `lab switch` measures them, and `tests/forms.rs` checks them. A reader of
//! the runtime may skip this file.
//!
//! Both are ordinary functions, so the compiler expects them to preserve the callee-saved
//! registers. Another stack's code runs before such a function returns, so the function has to save
//! all of these registers, whether its caller uses them or not.
#![allow(unsafe_code)]

use crate::context::processor::{prepare, switch};
use crate::context::{Entry, SavedSp};
use crate::stack::Stack;
use forms::{begin_at, by_jump, by_return};
use std::marker::PhantomData;
use std::ptr;

#[cfg(target_arch = "x86_64")]
mod forms {
    use crate::context::{Entry, SavedSp};
    use std::arch::naked_asm;

    // ANCHOR: return
    /// Leaves this stack, and continues the stack that was left at `to`: on that stack,
    /// the earlier call to `by_return` returns the saved stack pointer of this one.
    #[unsafe(naked)]
    pub(super) unsafe extern "sysv64" fn by_return(to: SavedSp) -> SavedSp {
        naked_asm!(
            // On entry: rdi = to, rsp = the address of this function's return address.
            "push rbp",
            "push rbx",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov rax, rsp", // where this stack is left
            "mov rsp, rdi", // where the other was left
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbx",
            "pop rbp",
            "ret", // to the caller on the other stack
        )
    }
    // ANCHOR_END: return

    // ANCHOR: jump
    /// Does the same as `by_return`, but ends in a `pop` and a jump instead of a
    /// return.
    #[unsafe(naked)]
    pub(super) unsafe extern "sysv64" fn by_jump(to: SavedSp) -> SavedSp {
        naked_asm!(
            "push rbp",
            "push rbx",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov rax, rsp",
            "mov rsp, rdi",
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbx",
            "pop rbp",
            "pop rcx",
            "jmp rcx",
        )
    }
    // ANCHOR_END: jump

    /// The first frame of a fresh stack. On entry: rax = the saved stack pointer of the stack that
    /// has switched here, rbx = the argument, r12 = the address of the entry.
    #[unsafe(naked)]
    unsafe extern "sysv64" fn begin() -> ! {
        naked_asm!("mov rdi, rax", "xor esi, esi", "mov rdx, rbx", "call r12", "ud2")
    }

    /// Returns the seven words that make a fresh stack look as if `by_return` or `by_jump` had left
    /// it: six registers and a return address.
    pub(super) fn begin_at(entry: Entry, argument: *mut u8) -> [usize; 7] {
        let [r15, r14, r13, rbp] = [0; 4];
        let begin = begin as *const () as usize;
        [r15, r14, r13, entry as usize, argument as usize, rbp, begin]
    }
}

#[cfg(target_arch = "aarch64")]
mod forms {
    use crate::context::{Entry, SavedSp};
    use std::arch::naked_asm;

    /// Leaves this stack, and continues the stack that was left at `to`: on that stack, the earlier
    /// call to `by_return` returns the saved stack pointer of this one.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn by_return(to: SavedSp) -> SavedSp {
        naked_asm!(
            "stp d8, d9, [sp, #-160]!",
            "stp d10, d11, [sp, #16]",
            "stp d12, d13, [sp, #32]",
            "stp d14, d15, [sp, #48]",
            "stp x19, x20, [sp, #64]",
            "stp x21, x22, [sp, #80]",
            "stp x23, x24, [sp, #96]",
            "stp x25, x26, [sp, #112]",
            "stp x27, x28, [sp, #128]",
            "stp x29, x30, [sp, #144]",
            "mov x9, sp", // where this stack is left
            "mov sp, x0", // where the other was left
            "mov x0, x9",
            "ldp x29, x30, [sp, #144]",
            "ldp x27, x28, [sp, #128]",
            "ldp x25, x26, [sp, #112]",
            "ldp x23, x24, [sp, #96]",
            "ldp x21, x22, [sp, #80]",
            "ldp x19, x20, [sp, #64]",
            "ldp d14, d15, [sp, #48]",
            "ldp d12, d13, [sp, #32]",
            "ldp d10, d11, [sp, #16]",
            "ldp d8, d9, [sp], #160",
            "ret", // to the caller on the other stack: x30 holds its address
        )
    }

    /// Does the same as `by_return`, but ends in a jump that the processor does not
    /// predict as a return.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn by_jump(to: SavedSp) -> SavedSp {
        naked_asm!(
            "stp d8, d9, [sp, #-160]!",
            "stp d10, d11, [sp, #16]",
            "stp d12, d13, [sp, #32]",
            "stp d14, d15, [sp, #48]",
            "stp x19, x20, [sp, #64]",
            "stp x21, x22, [sp, #80]",
            "stp x23, x24, [sp, #96]",
            "stp x25, x26, [sp, #112]",
            "stp x27, x28, [sp, #128]",
            "stp x29, x30, [sp, #144]",
            "mov x9, sp",
            "mov sp, x0",
            "mov x0, x9",
            "ldp x29, x30, [sp, #144]",
            "ldp x27, x28, [sp, #128]",
            "ldp x25, x26, [sp, #112]",
            "ldp x23, x24, [sp, #96]",
            "ldp x21, x22, [sp, #80]",
            "ldp x19, x20, [sp, #64]",
            "ldp d14, d15, [sp, #48]",
            "ldp d12, d13, [sp, #32]",
            "ldp d10, d11, [sp, #16]",
            "ldp d8, d9, [sp], #160",
            "br x30",
        )
    }

    /// The first frame of a fresh stack. On entry: x0 = the saved stack pointer of the stack that
    /// has switched here, x19 = the address of the entry, x20 = the argument.
    #[unsafe(naked)]
    unsafe extern "C" fn begin() -> ! {
        naked_asm!("mov x1, xzr", "mov x2, x20", "blr x19", "brk #1")
    }

    /// Returns the twenty words that make a fresh stack look as if `by_return` or `by_jump` had
    /// left it: the callee-saved registers and the return address.
    pub(super) fn begin_at(entry: Entry, argument: *mut u8) -> [usize; 20] {
        let mut registers = [0; 20];
        registers[8] = entry as usize;
        registers[9] = argument as usize;
        registers[19] = begin as *const () as usize; // x30
        registers
    }
}

mod sealed {
    /// A private trait, so that only the types of this file can implement [`Form`](super::Form):
    /// [`Pair`](super::Pair) relies on their behavior.
    pub trait Sealed {}

    impl Sealed for super::ByReturn {}
    impl Sealed for super::ByJump {}
    impl Sealed for super::Inlined {}
}

/// An implementation of the switch.
pub trait Form: sealed::Sealed {
    /// Makes a fresh stack look as if this implementation had left it.
    ///
    /// # Safety
    ///
    /// The contract is that of `prepare` in [`context`](crate::context), with room for
    /// twenty words below `top`.
    #[doc(hidden)]
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> SavedSp {
        let words = begin_at(entry, argument);
        // SAFETY: the caller promises room for twenty words, and `words` has at most twenty.
        let sp = unsafe { top.sub(size_of_val(&words)) };
        // SAFETY: the caller may write the words at `sp`, which is aligned because `top` is.
        unsafe { ptr::write(sp.cast(), words) };
        sp
    }

    /// Leaves this stack for the one that was left at `to`. Returns the saved stack
    /// pointer of the stack that switches back.
    ///
    /// # Safety
    ///
    /// The contract is that of `switch` in [`context`](crate::context); in addition, `to`
    /// was left by the same implementation.
    #[doc(hidden)]
    unsafe fn switch(to: SavedSp) -> SavedSp;
}

/// The switch as a function that saves all callee-saved registers and ends in a return.
#[derive(Debug)]
pub struct ByReturn;

impl Form for ByReturn {
    #[inline(always)]
    unsafe fn switch(to: SavedSp) -> SavedSp {
        // SAFETY: the caller promises that `by_return` has suspended a stack whose saved pointer is
        // `to`, and that this stack still exists.
        unsafe { by_return(to) }
    }
}

/// The switch as a function that saves all callee-saved registers and ends in a jump.
#[derive(Debug)]
pub struct ByJump;

impl Form for ByJump {
    #[inline(always)]
    unsafe fn switch(to: SavedSp) -> SavedSp {
        // SAFETY: the caller promises that `by_jump` has suspended a stack whose saved pointer is
        // `to`, and that this stack still exists.
        unsafe { by_jump(to) }
    }
}

/// The switch that coroutines use, inlined at each call.
#[derive(Debug)]
pub struct Inlined;

impl Form for Inlined {
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> SavedSp {
        // SAFETY: the caller promises an aligned `top` with writable room below it
        // (`Form::prepare`).
        unsafe { prepare(top, entry, argument) }
    }

    #[inline(always)]
    unsafe fn switch(to: SavedSp) -> SavedSp {
        // SAFETY: the caller promises that `switch` has suspended a stack whose saved pointer is
        // `to`, and that this stack still exists.
        unsafe { switch(to, 0) }.from
    }
}

// ANCHOR: pair
/// Two stacks that only switch back and forth: the caller's and another one.
#[derive(Debug)]
pub struct Pair<F> {
    there: SavedSp,
    stack: Stack,
    form: PhantomData<F>,
}

impl<F: Form> Pair<F> {
    /// Creates a pair of the caller's stack and `stack`.
    pub fn new(stack: Stack) -> Pair<F> {
        let top = stack.top().as_ptr();
        // SAFETY: the pair owns the stack, which is much larger than twenty words.
        let there = unsafe { F::prepare(top, echo::<F>, ptr::null_mut()) };
        Pair { there, stack, form: PhantomData }
    }

    /// Switches to the pair's other side and back.
    #[inline(always)]
    pub fn round_trip(&mut self) {
        // SAFETY: `self.there` is from `prepare`, or from the other side's last switch;
        // the other side does nothing but switch back. A `Pair` is not `Send`, so this
        // is the thread that created it.
        self.there = unsafe { F::switch(self.there) };
    }

    /// Returns the stack of the pair's other side, which contains no value to drop.
    pub fn into_stack(self) -> Stack {
        self.stack
    }
}

/// The code of a pair's other side: it switches back, forever.
unsafe extern "C" fn echo<F: Form>(mut from: SavedSp, _: usize, _: *mut u8) -> ! {
    loop {
        // SAFETY: `from` is the saved stack pointer of the stack that has just switched
        // here, on this thread, and that waits to be continued.
        from = unsafe { F::switch(from) };
    }
}
// ANCHOR_END: pair
