//! Tests that every implementation of the switch preserves the registers.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use ch06_coroutines::StackPool;
use ch06_coroutines::context::variants::{ByJump, ByReturn, Form, Inlined, Pair};
use std::hint::black_box;

fn keeps<F: Form>() {
    let mut stacks = StackPool::new(StackPool::LEAST_SIZE).expect("stacks");
    let mut pair = Pair::<F>::new(stacks.take().expect("a stack"));
    let mut words: [u64; 12] = std::array::from_fn(|at| black_box(at as u64));
    let mut numbers: [f64; 12] = std::array::from_fn(|at| black_box(at as f64));
    for _ in 0..1_000 {
        pair.round_trip();
        words.iter_mut().for_each(|word| *word += 3);
        numbers.iter_mut().for_each(|number| *number += 0.25);
    }
    for at in 0..12 {
        assert_eq!(words[at], at as u64 + 3_000);
        assert_eq!(numbers[at].to_bits(), (at as f64 + 250.0).to_bits());
    }
    stacks.give_back(pair.into_stack());
}

#[test]
fn by_return() {
    keeps::<ByReturn>();
}

#[test]
fn by_jump() {
    keeps::<ByJump>();
}

#[test]
fn inlined() {
    keeps::<Inlined>();
}
