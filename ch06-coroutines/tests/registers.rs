//! Tests that a switch preserves the registers and the stack.
#![allow(unsafe_code)]

mod new_coroutine;

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use new_coroutine::new_coroutine;
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

fn coroutine(size: usize, body: impl FnOnce() + 'static) -> Coroutine {
    let mut stacks = StackPool::new(size).expect("stacks");
    new_coroutine(stacks.take().expect("a stack"), 1, body)
}

fn finish(coroutine: &mut Coroutine) -> usize {
    let mut suspensions = 0;
    while let Resumed::Suspended = coroutine.resume() {
        suspensions += 1;
    }
    suspensions
}

/// The test and its coroutines each hold more floating-point numbers than the processor has
/// registers for.
#[test]
fn floating_point_survives() {
    let mut coroutines: Vec<Coroutine> = (0..8_u8)
        .map(|seed| {
            coroutine(StackPool::DEFAULT_SIZE, move || numbers(f64::from(seed) + 0.5))
        })
        .collect();
    for _ in 0..100 {
        let mine: [f64; 24] = std::array::from_fn(|at| black_box(at as f64 * 1.25));
        for coroutine in &mut coroutines {
            assert!(matches!(coroutine.resume(), Resumed::Suspended));
        }
        for (at, number) in mine.into_iter().enumerate() {
            assert_eq!(number.to_bits(), (at as f64 * 1.25).to_bits());
        }
    }
    for coroutine in &mut coroutines {
        assert!(matches!(coroutine.resume(), Resumed::Finished));
    }
}

fn numbers(seed: f64) {
    let mut sums: [f64; 24] = std::array::from_fn(|at| black_box(seed + at as f64));
    let mut singles: [f32; 16] = std::array::from_fn(|at| black_box(at as f32));
    for _ in 0..100 {
        sums.iter_mut().for_each(|sum| *sum += seed);
        singles.iter_mut().for_each(|single| *single += 0.5);
        suspend();
    }
    for (at, sum) in sums.into_iter().enumerate() {
        let expected = (0..100).fold(seed + at as f64, |sum, _| sum + seed);
        assert_eq!(sum.to_bits(), expected.to_bits());
    }
    for (at, single) in singles.into_iter().enumerate() {
        assert_eq!(single.to_bits(), (at as f32 + 50.0).to_bits());
    }
}

#[test]
fn integers_survive() {
    let mut coroutine = coroutine(StackPool::DEFAULT_SIZE, || {
        let mut words: [u64; 20] = std::array::from_fn(|at| black_box(at as u64));
        for round in 0..50 {
            words.iter_mut().for_each(|word| *word = word.rotate_left(7) ^ round);
            suspend();
        }
        for (at, word) in words.into_iter().enumerate() {
            let expected =
                (0..50).fold(at as u64, |word, round| word.rotate_left(7) ^ round);
            assert_eq!(word, expected);
        }
    });
    let mut own: [u64; 20] = std::array::from_fn(|at| black_box(!(at as u64)));
    let mut rounds = 0;
    while let Resumed::Suspended = coroutine.resume() {
        own.iter_mut().for_each(|word| *word = word.wrapping_mul(3));
        rounds += 1;
    }
    assert_eq!(rounds, 50);
    for (at, word) in own.into_iter().enumerate() {
        let expected = (0..50).fold(!(at as u64), |word, _| word.wrapping_mul(3));
        assert_eq!(word, expected);
    }
}

#[test]
fn formatting_finds_room() {
    let numbers = [1.0 / 3.0, f64::MAX, f64::MIN_POSITIVE];
    let text = Rc::new(RefCell::new(String::new()));
    let writes = Rc::clone(&text);
    let mut coroutine = coroutine(StackPool::LEAST_SIZE, move || {
        for number in numbers {
            *writes.borrow_mut() += &format!("{number:.30} {number:e} {number:?}\n");
            suspend();
        }
    });
    assert_eq!(finish(&mut coroutine), 3);
    let line = |number: &f64| format!("{number:.30} {number:e} {number:?}\n");
    assert_eq!(*text.borrow(), numbers.iter().map(line).collect::<String>());
}

/// Recurses `levels` deep, with a frame of more than 1024 bytes each time.
#[inline(never)]
fn descend(levels: usize) -> usize {
    let frame = black_box([levels as u8; 1024]);
    let below = if levels == 0 { 0 } else { descend(levels - 1) };
    below + usize::from(black_box(&frame)[levels % 1024] == levels as u8)
}

#[test]
fn recursion_may_use_nearly_all() {
    const SIZE: usize = 512 * 1024;
    let mut stacks = StackPool::new(SIZE).expect("stacks");
    let depth = |stacks: &mut StackPool, levels: usize| {
        let counted = Rc::new(Cell::new(0));
        let counts = Rc::clone(&counted);
        let stack = stacks.take().expect("a stack");
        let mut coroutine = new_coroutine(stack, 1, move || {
            counts.set(descend(levels));
            suspend();
            counts.set(counts.get() + descend(levels));
        });
        assert_eq!(finish(&mut coroutine), 1);
        assert_eq!(counted.get(), 2 * (levels + 1));
        stacks.give_back(coroutine.into_stack());
        stacks.high_water()
    };
    // The compiler decides the size of a frame, so the test measures it.
    let few = depth(&mut stacks, 50);
    let more = depth(&mut stacks, 100);
    let frame = (more - few).div_ceil(50);
    assert!(frame >= 1024);
    let most = (SIZE - 16 * 1024) / frame;
    let deepest = depth(&mut stacks, most);
    assert!(deepest > SIZE * 8 / 10, "{deepest} of {SIZE}, with frames of {frame}");
    assert!(deepest <= SIZE);
}

#[test]
fn bodies_of_any_alignment_and_size() {
    #[repr(align(256))]
    struct Aligned([u8; 300]);
    let aligned = Aligned([3; 300]);
    let sum = Rc::new(Cell::new(0));
    let sums = Rc::clone(&sum);
    let mut odd = coroutine(StackPool::DEFAULT_SIZE, move || {
        let aligned = aligned;
        assert_eq!((&raw const aligned).addr() % 256, 0);
        suspend();
        sums.set(aligned.0.iter().map(|&byte| u32::from(byte)).sum());
    });
    assert_eq!(finish(&mut odd), 1);
    assert_eq!(sum.get(), 900);
    let large = [1u8; 40_000];
    let refused = catch_unwind(AssertUnwindSafe(|| {
        coroutine(StackPool::DEFAULT_SIZE, move || {
            black_box(&large);
        })
    }));
    assert!(refused.is_err(), "more than half of its stack");
}
