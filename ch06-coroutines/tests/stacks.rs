//! Tests that stacks are reserved, guarded, reused, and returned to the system.
#![allow(unsafe_code)]

mod new_coroutine;

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use new_coroutine::new_coroutine;
use nix::unistd::{SysconfVar, sysconf};
use std::hint::black_box;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn ten_thousand_stacks_at_once() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    let mut coroutines: Vec<Coroutine> = (0..10_000_u64)
        .map(|id| {
            new_coroutine(stacks.take().expect("a stack"), id, move || {
                let mine = black_box([id; 8]);
                suspend();
                assert!(mine.iter().all(|&word| word == id));
                suspend();
                assert!(mine.iter().all(|&word| word == id));
            })
        })
        .collect();
    for _ in 0..2 {
        for coroutine in &mut coroutines {
            assert!(matches!(coroutine.resume(), Resumed::Suspended));
        }
    }
    for mut coroutine in coroutines {
        assert!(matches!(coroutine.resume(), Resumed::Finished));
        stacks.give_back(coroutine.into_stack());
    }
    assert_eq!(stacks.most_used(), 10_000);
}

#[test]
fn stacks_are_reused_last_in_first_out() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    for id in 0..1_000 {
        let mut coroutine = new_coroutine(stacks.take().expect("a stack"), id, suspend);
        assert!(matches!(coroutine.resume(), Resumed::Suspended));
        assert!(matches!(coroutine.resume(), Resumed::Finished));
        stacks.give_back(coroutine.into_stack());
    }
    assert_eq!(stacks.most_used(), 1);
}

#[test]
fn a_shallow_coroutine_touches_two_pages_at_most() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 1, suspend);
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    let page = sysconf(SysconfVar::PAGE_SIZE).expect("asked").expect("it has pages");
    assert!(stacks.high_water() <= 2 * page as usize, "{} bytes", stacks.high_water());
}

#[test]
fn sizes_have_bounds() {
    for size in [0, StackPool::LEAST_SIZE - 1, StackPool::MOST_SIZE + 1, usize::MAX] {
        let error = StackPool::new(size).expect_err("no such stack");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{size}");
    }
    let stacks = StackPool::new(StackPool::LEAST_SIZE + 1).expect("stacks");
    assert!(stacks.size() > StackPool::LEAST_SIZE, "rounded up");
}

#[test]
fn a_stack_returns_to_its_own_pool() {
    let mut one = StackPool::new(StackPool::LEAST_SIZE).expect("stacks");
    let mut other = StackPool::new(StackPool::LEAST_SIZE).expect("stacks");
    let stack = one.take().expect("a stack");
    assert!(catch_unwind(AssertUnwindSafe(|| other.give_back(stack))).is_err());
}

#[test]
fn a_coroutine_may_outlive_its_pool() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 1, suspend);
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    drop(stacks);
    assert!(matches!(coroutine.resume(), Resumed::Finished));
}

/// After many coroutines have ended, the pages of most stacks return to the system, and the pool
/// remembers the greatest depth that a stack has reached.
#[test]
fn memory_of_many_stacks_is_returned() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    for _ in 0..2 {
        let mut crowd: Vec<Coroutine> = (0..2_000)
            .map(|id| {
                let stack = stacks.take().expect("a stack");
                new_coroutine(stack, id, || {
                    black_box([1u8; 40_000]);
                    suspend();
                })
            })
            .collect();
        for coroutine in &mut crowd {
            assert!(matches!(coroutine.resume(), Resumed::Suspended));
        }
        assert!(stacks.resident() >= 2_000 * 40_000, "{}", stacks.resident());
        for mut coroutine in crowd {
            assert!(matches!(coroutine.resume(), Resumed::Finished));
            stacks.give_back(coroutine.into_stack());
        }
    }
    assert_eq!(stacks.most_used(), 2_000);
    assert!(stacks.high_water() >= 40_000);
    #[cfg(target_os = "linux")] // other systems only mark the pages as free
    assert!(stacks.resident() <= StackPool::WARM * 64_000, "{}", stacks.resident());
    stacks.release_pages();
    #[cfg(target_os = "linux")]
    assert_eq!(stacks.resident(), 0);
    assert!(stacks.high_water() >= 40_000, "the depth is remembered");
}

/// A body of the largest size that is allowed leaves enough stack to call the body.
#[test]
fn a_large_body_runs() {
    const LARGE: usize = StackPool::DEFAULT_SIZE / 4 - 64;
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    let large = [1u8; LARGE];
    let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 1, move || {
        suspend();
        assert_eq!(black_box(&large).iter().filter(|&&byte| byte == 1).count(), LARGE);
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    assert!(matches!(coroutine.resume(), Resumed::Finished));

    let larger = [1u8; LARGE + 64];
    let stack = coroutine.into_stack();
    let refused = AssertUnwindSafe(|| {
        new_coroutine(stack, 1, move || assert_eq!(black_box(&larger)[0], 1));
    });
    assert!(catch_unwind(refused).is_err());
}
