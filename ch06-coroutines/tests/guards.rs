//! Tests that the pool respects the kernel's limit on the number of guards made by mprotect(2).
//! This test has its own process, because it uses up that limit for a moment.
#![cfg(target_os = "linux")]

use ch06_coroutines::StackPool;

/// The pool returns an error before its mprotect(2) guards reach the kernel's limit on mappings, at
/// which malloc would fail.
#[test]
fn protected_guards_run_out_with_an_error() {
    let granted = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let granted: usize = granted.expect("Linux has it").trim().parse().expect("a number");
    if granted > 1_000_000 {
        eprintln!("this system grants {granted} mappings: nothing to see");
        return;
    }
    let mut stacks = StackPool::protected(StackPool::LEAST_SIZE).expect("stacks");
    let mut taken = Vec::new();
    let error = loop {
        match stacks.take() {
            Ok(stack) => taken.push(stack),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("vm.max_map_count"), "{error}");
    assert!(taken.len() > granted / 3, "{error}");
    drop(vec![vec![0u8; 1 << 20]; 8]); // there is still room for other allocations
    for stack in taken {
        stacks.give_back(stack);
    }
}
