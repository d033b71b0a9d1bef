//! Goes deeper than its stack. The page shows what is said then.

use ch06_coroutines::{Coroutine, Resumed, Stacks, suspend};
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
    let mut stacks = Stacks::new(Stacks::DEFAULT_SIZE)?;
    let mut coroutine = Coroutine::new(stacks.take()?, 7, || {
        black_box(deeper(1));
    });
    while let Resumed::Suspended = coroutine.resume() {}
    Ok(())
}
// ANCHOR_END: deep
