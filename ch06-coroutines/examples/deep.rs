//! A coroutine that overflows its stack. The book shows the message of the overflow.
#![allow(unsafe_code)]

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use std::hint::black_box;

// ANCHOR: deep
#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(level: u32) -> u32 {
    let kilobyte = [level; 256];
    if level.is_multiple_of(16) {
        println!("{level} levels deep");
        suspend();
    }
    deeper(level + 1) + black_box(&kilobyte)[0]
}

fn main() -> std::io::Result<()> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let body = || {
        black_box(deeper(1));
    };
    // SAFETY: the body uses no thread-local across a `suspend`, and the coroutine is
    // not leaked.
    let mut coroutine = unsafe { Coroutine::new(stacks.take()?, 7, body) };
    while let Resumed::Suspended = coroutine.resume() {}
    Ok(())
}
// ANCHOR_END: deep
