//! The switch as one would write it first, and as one would mend it: for the book, which
//! asks why they are slower than the one that coroutines use, and for `lab switch`,
//! which measures them beside it.
//!
//! Both are *functions*. So the compiler expects of them what it expects of any function: that
//! the callee-saved registers are kept. Since it is another stack's code that runs
//! meanwhile, they have to be saved, all of them, whether anybody uses them or not.
#![allow(unsafe_code)]

use super::{Entry, Left};
use crate::stack::Stack;
use processor::{begin_at, by_jump, by_return};
use std::marker::PhantomData;
use std::ptr;

#[cfg(target_arch = "x86_64")]
mod processor {
    use super::{Entry, Left};
    use std::arch::naked_asm;

    // ANCHOR: return
    /// Leaves this stack, goes on with the one that was left at `to`, and returns there: what it
    /// returns is where this one was left.
    #[unsafe(naked)]
    pub(super) unsafe extern "sysv64" fn by_return(to: Left) -> Left {
        naked_asm!(
            // rdi = to; rsp points to our return address
            "push rbp",
            "push rbx",
            "push r12",
            "push r13",
            "push r14",
            "push r15",
            "mov rax, rsp", // this stack is left here…
            "mov rsp, rdi", // …and that is the other
            "pop r15",
            "pop r14",
            "pop r13",
            "pop r12",
            "pop rbx",
            "pop rbp",
            "ret", // to whoever called this there
        )
    }
    // ANCHOR_END: return

    // ANCHOR: jump
    /// The same, with the last line in two.
    #[unsafe(naked)]
    pub(super) unsafe extern "sysv64" fn by_jump(to: Left) -> Left {
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

    /// Where a fresh stack begins: rax = from, rbx = the argument, r12 = the entry.
    #[unsafe(naked)]
    unsafe extern "sysv64" fn begin() -> ! {
        naked_asm!("mov rdi, rax", "xor esi, esi", "mov rdx, rbx", "call r12", "ud2")
    }

    /// What the two of them would have left: six registers and a return address.
    pub(super) fn begin_at(entry: Entry, argument: *mut u8) -> [usize; 7] {
        let [r15, r14, r13, rbp] = [0; 4];
        let begin = begin as *const () as usize;
        [r15, r14, r13, entry as usize, argument as usize, rbp, begin]
    }
}

#[cfg(target_arch = "aarch64")]
mod processor {
    use super::{Entry, Left};
    use std::arch::naked_asm;

    /// Leaves this stack, goes on with the one that was left at `to`, and returns there: what it
    /// returns is where this one was left.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn by_return(to: Left) -> Left {
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
            "mov x9, sp", // this stack is left here…
            "mov sp, x0", // …and that is the other
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
            "ret", // to whoever called this there: x30 says where
        )
    }

    /// The same, with another last line: a jump, of which nobody thinks that it is a return.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn by_jump(to: Left) -> Left {
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

    /// Where a fresh stack begins: x0 = from, x19 = the entry, x20 = the argument.
    #[unsafe(naked)]
    unsafe extern "C" fn begin() -> ! {
        naked_asm!("mov x1, xzr", "mov x2, x20", "blr x19", "brk #1")
    }

    /// What the two of them would have left: twenty registers.
    pub(super) fn begin_at(entry: Entry, argument: *mut u8) -> [usize; 20] {
        let mut registers = [0; 20];
        registers[8] = entry as usize;
        registers[9] = argument as usize;
        registers[19] = begin as *const () as usize; // x30
        registers
    }
}

mod sealed {
    /// Only the forms of this file: the book compares these, and [`Pair`](super::Pair)
    /// relies on what they do.
    pub trait Sealed {}

    impl Sealed for super::ByReturn {}
    impl Sealed for super::ByJump {}
    impl Sealed for super::Inlined {}
}

/// A way to switch; there are these three.
pub trait Form: sealed::Sealed {
    /// Makes a fresh stack as if it had been left by this form.
    ///
    /// # Safety
    /// As [`super::prepare`], with room for twenty words.
    #[doc(hidden)]
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left {
        let words = begin_at(entry, argument);
        // SAFETY: within the twenty words that the caller promises.
        let left = unsafe { top.sub(size_of_val(&words)) };
        // SAFETY: they are the caller's to write, and aligned, as `top` is.
        unsafe { ptr::write(left.cast(), words) };
        left
    }

    /// Leaves this stack for the one that was left at `to`; returns where whoever comes back
    /// here has left.
    ///
    /// # Safety
    /// As [`super::switch`]; and `to` is of the same form.
    #[doc(hidden)]
    unsafe fn switch(to: Left) -> Left;
}

/// A function that saves the registers and returns.
#[derive(Debug)]
pub struct ByReturn;

impl Form for ByReturn {
    #[inline(always)]
    unsafe fn switch(to: Left) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { by_return(to) }
    }
}

/// A function that saves the registers and jumps.
#[derive(Debug)]
pub struct ByJump;

impl Form for ByJump {
    #[inline(always)]
    unsafe fn switch(to: Left) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { by_jump(to) }
    }
}

/// No function: the switch of the coroutines.
#[derive(Debug)]
pub struct Inlined;

impl Form for Inlined {
    unsafe fn prepare(top: *mut u8, entry: Entry, argument: *mut u8) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { super::prepare(top, entry, argument) }
    }

    #[inline(always)]
    unsafe fn switch(to: Left) -> Left {
        // SAFETY: by the caller's promise.
        unsafe { super::switch(to, 0) }.from
    }
}

// ANCHOR: pair
/// Two stacks, this one and another, that go back and forth and do nothing else.
#[derive(Debug)]
pub struct Pair<F> {
    there: Left,
    stack: Stack,
    form: PhantomData<F>,
}

impl<F: Form> Pair<F> {
    /// The other side stands ready on this stack.
    pub fn new(stack: Stack) -> Pair<F> {
        let top = stack.top().as_ptr();
        // SAFETY: the stack is ours alone, and much larger than twenty words.
        let there = unsafe { F::prepare(top, echo::<F>, ptr::null_mut()) };
        Pair { there, stack, form: PhantomData }
    }

    /// Goes to the other side, and comes back.
    #[inline(always)]
    pub fn round_trip(&mut self) {
        // SAFETY: made by `prepare`, or left by the other side, which does nothing but
        // come back; on this thread, as this is not Send.
        self.there = unsafe { F::switch(self.there) };
    }

    /// The stack again. On the other side nothing needs to be dropped.
    pub fn into_stack(self) -> Stack {
        self.stack
    }
}

/// The other side.
unsafe extern "C" fn echo<F: Form>(mut from: Left, _: usize, _: *mut u8) -> ! {
    loop {
        // SAFETY: whoever came here has left there, and waits.
        from = unsafe { F::switch(from) };
    }
}
// ANCHOR_END: pair
