//! Tests of faults that end the process, and of their messages. Each test runs itself again in a
//! child process, and checks how the child ended.
#![allow(unsafe_code)]

mod new_coroutine;

use ch06_coroutines::{Coroutine, Resumed, StackPool, suspend};
use new_coroutine::new_coroutine;
use nix::sys::signal::Signal;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr;
use std::thread;

/// Runs a test again in a child process. Returns the signal that ended the child, and its
/// standard error; `None` in the child itself.
fn child(test: &str) -> Option<(Option<i32>, String)> {
    if std::env::var_os("CHILD").is_some() {
        return None;
    }
    let own = std::env::current_exe().expect("a test's own path");
    // Under an emulator, the child process needs the emulator too.
    let emulator = std::env::var("EMULATOR").unwrap_or_default();
    let mut words = emulator.split_whitespace();
    let mut command = match words.next() {
        Some(program) => Command::new(program),
        None => Command::new(&own),
    };
    if !emulator.is_empty() {
        command.args(words).arg(&own);
    }
    let output = command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("CHILD", "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a child");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output.status.signal(), said))
}

/// Recurses without end, until the stack overflows.
#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what is wanted")]
fn descend(level: u64) -> u64 {
    let frame = black_box([level; 64]);
    descend(level + 1) + black_box(frame)[level as usize % 64]
}

fn overflow(size: usize, id: u64) {
    let mut stacks = StackPool::new(size).expect("stacks");
    let mut coroutine = new_coroutine(stacks.take().expect("a stack"), id, || {
        suspend();
        black_box(descend(0));
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    coroutine.resume();
}

fn assert_says(ended: &(Option<i32>, String), message: &str) {
    let (signal, said) = ended;
    assert!(said.contains(message), "it said: {said}");
    assert_eq!(*signal, Some(Signal::SIGABRT as i32), "{said}");
}

#[test]
fn an_overflow_names_its_coroutine() {
    let Some(ended) = child("an_overflow_names_its_coroutine") else {
        return overflow(StackPool::DEFAULT_SIZE, 4711);
    };
    let message = "coroutine 4711 has overflowed its stack of 64 KiB; --stack SIZE ";
    assert_says(&ended, message);
}

#[test]
fn on_any_thread() {
    let Some(ended) = child("on_any_thread") else {
        thread::spawn(|| overflow(1024 * 1024, 7)).join().expect("it does not return");
        return;
    };
    assert_says(&ended, "coroutine 7 has overflowed its stack of 1024 KiB");
}

/// The message names the coroutine that overflows, although the stacks of other coroutines lie
/// above and below, and another coroutine has resumed it.
#[test]
fn the_inner_coroutine_is_named() {
    let Some(ended) = child("the_inner_coroutine_is_named") else {
        let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
        let mut others: Vec<Coroutine> = (100..110)
            .map(|id| new_coroutine(stacks.take().expect("a stack"), id, suspend))
            .collect();
        for other in &mut others {
            assert!(matches!(other.resume(), Resumed::Suspended));
        }
        let mut outer = new_coroutine(stacks.take().expect("a stack"), 1, || {
            overflow(StackPool::DEFAULT_SIZE, 2);
        });
        outer.resume();
        return;
    };
    assert_says(&ended, "coroutine 2 has overflowed");
}

/// A compiled C function with a large frame does not touch each page of the frame in order, so its
/// first access may lie far below the stack. This access must still hit the guard, and not the next
/// stack.
#[test]
fn a_large_frame_hits_the_guard() {
    let Some(ended) = child("a_large_frame_hits_the_guard") else {
        const SIZE: usize = StackPool::DEFAULT_SIZE;
        let mut stacks = StackPool::new(SIZE).expect("stacks");
        let [below, above] = [(); 2].map(|()| stacks.take().expect("a stack"));
        let mut next = new_coroutine(below, 1, suspend);
        assert!(matches!(next.resume(), Resumed::Suspended));
        let mut coroutine = new_coroutine(above, 2, || {
            let near_the_top = black_box(0_u8);
            // An address below the lower end of this stack, by nearly the size of the guard.
            let below = (&raw const near_the_top).addr() - SIZE - (60 << 10);
            // SAFETY: the address lies in the guard, so the write faults and the process
            // ends.
            unsafe { ptr::without_provenance_mut::<u8>(below).write_volatile(1) };
        });
        coroutine.resume();
        return;
    };
    assert_says(&ended, "coroutine 2 has overflowed its stack");
}

/// A fault outside of coroutines goes to the previous handler: Rust itself reports that a thread
/// has overflowed its stack.
#[test]
fn a_threads_overflow_is_reported_by_rust() {
    let Some(ended) = child("a_threads_overflow_is_reported_by_rust") else {
        overflow_of_a_thread();
        return;
    };
    assert_says(&ended, "stack overflow");
    assert!(!ended.1.contains("coroutine"), "{}", ended.1);
}

fn overflow_of_a_thread() {
    let _stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    black_box(descend(0));
}

/// A value whose destructor suspends the running coroutine.
struct Waits;

impl Drop for Waits {
    fn drop(&mut self) {
        suspend();
    }
}

/// A coroutine that suspends while it is being dropped would never be resumed, so the process is
/// aborted.
#[test]
fn suspending_while_dropped_aborts() {
    let Some(ended) = child("suspending_while_dropped_aborts") else {
        let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
        let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 12, || {
            let _waits = Waits;
            suspend();
        });
        assert!(matches!(coroutine.resume(), Resumed::Suspended));
        drop(coroutine);
        return;
    };
    let message =
        "coroutine 12 is dropped, and a destructor on its stack has suspended it";
    assert_says(&ended, message);
}

/// The code that owns a coroutine panics, and the unwinding drops the coroutine. A destructor on
/// the coroutine's stack cannot suspend it in this case either: Rust itself aborts the process.
#[test]
fn suspending_while_dropped_during_a_panic_aborts() {
    let Some(ended) = child("suspending_while_dropped_during_a_panic_aborts") else {
        let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
        let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 12, || {
            let _waits = Waits;
            suspend();
        });
        assert!(matches!(coroutine.resume(), Resumed::Suspended));
        let _coroutine = coroutine;
        panic!("and now everything is dropped");
    };
    assert_says(&ended, "panic in a destructor during cleanup");
}

/// A destructor that runs because the coroutine's body has panicked may suspend the coroutine,
/// which is then resumed as usual.
#[test]
fn a_destructor_may_suspend_during_its_own_panic() {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE).expect("stacks");
    let mut coroutine = new_coroutine(stacks.take().expect("a stack"), 1, || {
        let _waits = Waits;
        std::panic::resume_unwind(Box::new("because"));
    });
    assert!(matches!(coroutine.resume(), Resumed::Suspended));
    let Resumed::Panicked(panic) = coroutine.resume() else { panic!("it has panicked") };
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"because"));
    assert!(!thread::panicking());
}
