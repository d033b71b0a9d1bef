// ANCHOR: head
//! A function that can be suspended in the middle and resumed later, because it has a
//! stack of its own.
//!
//! Left out are a pool of stacks (each is mapped and unmapped), a message at an
//! overflow (the process ends with SIGSEGV), and the unwinding of a coroutine that is
//! dropped before its end (its stack is leaked, with all values on it).
#![allow(unsafe_code)] // memory for stacks, and a switch between them

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::cell::Cell;
use std::ffi::c_void;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::{io, mem};

// ANCHOR_END: head
// ANCHOR: stack
/// The size of a stack in bytes. A page takes memory when it is touched for the first
/// time.
const SIZE: usize = 256 * 1024;

/// The size in bytes of the inaccessible guard below a stack: more than the largest
/// frame of any C function that a coroutine calls.
const GUARD: usize = 64 * 1024;

const LENGTH: NonZero<usize> = NonZero::new(GUARD + SIZE).expect("not zero");

/// The memory of a stack, with its guard below.
struct Stack {
    /// The lowest address of the guard.
    start: NonNull<c_void>,
}

impl Stack {
    fn new() -> io::Result<Stack> {
        if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            // There is no `switch` for this processor.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE;
        // SAFETY: a new mapping at an address of the kernel's choice replaces no other.
        let start = unsafe { mmap_anonymous(None, LENGTH, access, flags) }?;
        let stack = Stack { start }; // unmapped if the next call fails
        // SAFETY: the pages are the lower end of the new mapping, and nothing refers to
        // them.
        unsafe { mprotect(start, GUARD, ProtFlags::PROT_NONE) }?;
        Ok(stack)
    }

    /// Returns the address just above the stack, a multiple of the page size.
    fn top(&self) -> *mut u8 {
        // SAFETY: the resulting address is the end of the mapping.
        unsafe { self.start.cast::<u8>().add(LENGTH.get()) }.as_ptr()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the range is the stack's own mapping. The owner drops the stack only
        // when nothing on it is needed any longer.
        let _ = unsafe { munmap(self.start, LENGTH.get()) };
    }
}

/// The function that runs first on a new stack, and never returns. It receives the
/// saved stack pointer of the stack that has switched to it.
type Entry = extern "C" fn(from: *mut u8) -> !;

// ANCHOR_END: stack
// ANCHOR: x86_64
/// Leaves this stack and continues the one that was left at `to`. Returns the saved
/// stack pointer of the stack that switches back to this one.
///
/// # Safety
///
/// `to` comes from `fresh` or from a `switch`, on this thread. Its stack still exists,
/// and nothing has continued it since.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn switch(to: *mut u8) -> *mut u8 {
    let from;
    // SAFETY: the block pushes three words onto this stack. No value lies below the
    // stack pointer, because the block is not declared `nostack`. At label 2, rsp is
    // again what it was before the third push, by this function's contract. So rbx and
    // rbp are restored, and all other registers are declared lost.
    unsafe {
        std::arch::asm!(
            "push rbp",
            "push rbx",
            "lea rax, [rip + 2f]",
            "push rax",             // where to continue
            "mov rax, rsp",         // this stack is left here,
            "mov rsp, rdi",         // and that is the other
            "mov rdi, rax",
            "pop rax",
            "jmp rax",
            "2:",                   // continued, by another switch
            "pop rbx",
            "pop rbp",
            inout("rdi") to => from,
            lateout("rax") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("C"),
        );
    }
    from
}

/// Makes a new stack look as if a switch had left it at the beginning of `entry`.
/// Returns the new stack's saved stack pointer.
///
/// # Safety
///
/// `top` is a multiple of 16, and the 16 bytes below it can be written.
#[cfg(target_arch = "x86_64")]
unsafe fn fresh(top: *mut u8, entry: Entry) -> *mut u8 {
    // The first word is the address at which to continue. The second is the return
    // address of `entry`: 0, because `entry` never returns.
    let words = [entry as usize, 0];
    // SAFETY: the caller promises 16 bytes below `top`, so the address is in the stack.
    let left = unsafe { top.cast::<[usize; 2]>().sub(1) };
    // SAFETY: the caller promises that the 16 bytes can be written and are aligned.
    unsafe { left.write(words) };
    left.cast()
}

// ANCHOR_END: x86_64
// ANCHOR: aarch64
/// Leaves this stack and continues the one that was left at `to`. Returns the saved
/// stack pointer of the stack that switches back to this one.
///
/// # Safety
///
/// `to` comes from `fresh` or from a `switch`, on this thread. Its stack still exists,
/// and nothing has continued it since.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn switch(to: *mut u8) -> *mut u8 {
    let from;
    // SAFETY: the block takes four words of this stack. No value lies below the stack
    // pointer, because the block is not declared `nostack`. At label 2, sp is again the
    // saved stack pointer, by this function's contract. So x19 and x29 are restored,
    // and all other registers are declared lost.
    unsafe {
        std::arch::asm!(
            "adr x9, 2f",
            "stp x29, x19, [sp, #-32]!",
            "str x9, [sp, #16]",    // where to continue
            "mov x9, sp",           // this stack is left here,
            "mov sp, x0",           // and that is the other
            "mov x0, x9",
            "ldr x9, [sp, #16]",
            "mov x30, xzr",         // a fresh function returns nowhere
            "br x9",
            "2:",                   // continued, by another switch
            "ldp x29, x19, [sp], #32",
            inout("x0") to => from,
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
    from
}

/// Makes a new stack look as if a switch had left it at the beginning of `entry`.
/// Returns the new stack's saved stack pointer.
///
/// # Safety
///
/// `top` is a multiple of 16, and the 32 bytes below it can be written.
#[cfg(target_arch = "aarch64")]
unsafe fn fresh(top: *mut u8, entry: Entry) -> *mut u8 {
    let words = [0, 0, entry as usize, 0];
    // SAFETY: the caller promises 32 bytes below `top`, so the address is in the stack.
    let left = unsafe { top.cast::<[usize; 4]>().sub(1) };
    // SAFETY: the caller promises that the 32 bytes can be written and are aligned.
    unsafe { left.write(words) };
    left.cast()
}

// ANCHOR_END: aarch64
// ANCHOR: others
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn switch(_: *mut u8) -> *mut u8 {
    unreachable!("`Stack::new` has failed on this processor")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn fresh(_: *mut u8, _: Entry) -> *mut u8 {
    unreachable!("`Stack::new` has failed on this processor")
}

// ANCHOR_END: others
// ANCHOR: coroutine
thread_local! {
    /// The saved stack pointer of the stack that has resumed the running coroutine;
    /// null if no coroutine runs.
    static RESUMER: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
    /// The body of a coroutine that is resumed for the first time, for `run` to take.
    static BODY: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    /// Whether the coroutine that has just switched back has ended.
    static ENDED: Cell<bool> = const { Cell::new(false) };
}

/// A function with its own stack. A coroutine stays on the thread that created it.
pub struct Coroutine {
    stack: Option<Stack>,
    /// The saved stack pointer; null after the coroutine's end.
    left: *mut u8,
    /// The body; `None` once the coroutine has begun.
    body: Option<Box<dyn FnOnce()>>,
}

impl Coroutine {
    /// Returns a coroutine that has not begun.
    ///
    /// # Errors
    ///
    /// Those of mmap(2) and mprotect(2): mostly, the process has too many mappings.
    ///
    /// # Safety
    ///
    /// - `body` never suspends inside the initializer or the destructor of a
    ///   thread-local variable.
    /// - If `body` holds a reference to a thread-local variable while it is suspended,
    ///   the coroutine is resumed to its end before its thread ends.
    /// - `body` switches to another stack by [`suspend`] only, and not by another
    ///   library's coroutines.
    pub unsafe fn new(body: impl FnOnce() + 'static) -> io::Result<Coroutine> {
        let stack = Stack::new()?;
        // SAFETY: `stack.top()` is a multiple of the page size, and the stack is
        // unused.
        let left = unsafe { fresh(stack.top(), run) };
        Ok(Coroutine { stack: Some(stack), left, body: Some(Box::new(body)) })
    }

    /// Runs the coroutine until it suspends or ends. Returns whether it has suspended.
    /// After the coroutine's end, does nothing and returns `false`.
    pub fn resume(&mut self) -> bool {
        if self.left.is_null() {
            return false;
        }
        let outer = RESUMER.get();
        BODY.set(self.body.take());
        // SAFETY: `left` is from `fresh`, or from the switch by which this coroutine
        // suspended last. A `Coroutine` holds pointers and so is not `Send`: this is
        // the thread that created it. The stack exists, because `self` owns it.
        let from = unsafe { switch(self.left) };
        RESUMER.set(outer);
        let ended = ENDED.take();
        self.left = if ended { ptr::null_mut() } else { from };
        !ended
    }
}

// ANCHOR_END: coroutine
// ANCHOR: suspend
/// Suspends the running coroutine: its `resume` returns. Returns when the coroutine is
/// resumed again.
///
/// # Panics
///
/// If no coroutine runs.
pub fn suspend() {
    let resumer = RESUMER.get();
    assert!(!resumer.is_null(), "there is no coroutine to suspend");
    // SAFETY: the stack to which `resumer` points waits in the `switch` of this
    // coroutine's `resume`, on this thread.
    let from = unsafe { switch(resumer) };
    RESUMER.set(from);
}

/// The first function on every coroutine's stack. Its last switch never returns.
extern "C" fn run(from: *mut u8) -> ! {
    RESUMER.set(from);
    if let Some(body) = BODY.take() {
        // A panic unwinds the stack, function by function, and ends here: no function
        // has called this one. The panic's message has been printed.
        let _ = catch_unwind(AssertUnwindSafe(body));
    }
    ENDED.set(true);
    // SAFETY: the stack to which `RESUMER` points waits in the `switch` of this
    // coroutine's `resume`, on this thread. No stack switches back to this one, which
    // holds no value that needs to be dropped.
    unsafe { switch(RESUMER.get()) };
    unreachable!("resumed after its end")
}

impl Drop for Coroutine {
    fn drop(&mut self) {
        let is_suspended = self.body.is_none() && !self.left.is_null();
        if is_suspended {
            // The values on the coroutine's stack were not dropped, and another thread
            // may have a reference to one of them. So the stack stays mapped.
            mem::forget(self.stack.take());
        }
    }
}
// ANCHOR_END: suspend

// ANCHOR: tests
#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn entry(from: *mut u8) -> ! {
        println!("on another stack");
        // SAFETY: `from` is where the test's stack was left, and is continued once.
        unsafe { switch(from) };
        unreachable!("nothing switches here again")
    }

    #[test]
    fn there_and_back() {
        let stack = Stack::new().expect("memory for a stack");
        // SAFETY: the stack is new, so the bytes below its top are not in use.
        let left = unsafe { fresh(stack.top(), entry) };
        println!("there");
        // SAFETY: `left` is from `fresh`; its stack exists, and is continued once.
        let left = unsafe { switch(left) };
        println!("and back");
        let depth = stack.top().addr() - left.addr();
        assert!((1..SIZE).contains(&depth), "left {depth} bytes below its top");
    }
}
// ANCHOR_END: tests
