//! Tests of the output of `small-switch`, and of those promises of the small coroutine that the
//! output does not show.
#![allow(unsafe_code)]

use ch06_coroutines::small::coroutine::{Coroutine, suspend};
use nix::sys::signal::Signal;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::rc::Rc;

/// Runs `small-switch` with an argument, under the emulator if this processor is
/// emulated. Returns its output, and its standard output as text.
fn small_switch(argument: &str) -> (Output, String) {
    let program = env!("CARGO_BIN_EXE_small-switch");
    let emulator = std::env::var("EMULATOR").unwrap_or_default();
    let mut words = emulator.split_whitespace().chain([program]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).args((!argument.is_empty()).then_some(argument));
    let output = command.env("RUST_BACKTRACE", "0").output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

/// Creates a coroutine without `unsafe`: all bodies in this file keep the contract of
/// `Coroutine::new`.
fn coroutine(body: impl FnOnce() + 'static) -> Coroutine {
    // SAFETY: no body in this file suspends in a thread-local's initializer or destructor, or holds
    // a reference to a thread-local.
    unsafe { Coroutine::new(body) }.expect("memory for a stack")
}

#[test]
fn they_take_turns() {
    let (output, text) = small_switch("");
    let expected =
        "one 1\ntwo 1\nmain\none 2\ntwo 2\nmain\none 3\ntwo ends\nmain\none ends\n";
    assert_eq!(text, expected);
    assert!(output.status.success());
}

#[test]
fn a_panic_ends_one_of_them() {
    let (output, text) = small_switch("panic");
    assert_eq!(text, "one 1\nmain\none 2\nmain\none 3\nmain\none ends\n");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("two has had enough"), "{error}");
    assert!(output.status.success());
}

#[test]
fn an_overflow_meets_the_guard() {
    let (output, text) = small_switch("deep");
    assert_eq!(text, "one 1\n");
    assert_eq!(output.status.signal(), Some(Signal::SIGSEGV as i32), "{output:?}");
}

#[test]
fn nothing_happens_after_the_end() {
    let runs = Rc::new(Cell::new(0));
    let count = Rc::clone(&runs);
    let mut once = coroutine(move || count.set(count.get() + 1));
    assert!(!once.resume() && !once.resume());
    assert_eq!((runs.get(), Rc::strong_count(&runs)), (1, 1)); // the body was dropped
}

#[test]
fn one_may_resume_another() {
    let log = Rc::new(RefCell::new(String::new()));
    let mut outer = coroutine({
        let log = Rc::clone(&log);
        move || {
            let inner_log = Rc::clone(&log);
            let mut inner = coroutine(move || {
                inner_log.borrow_mut().push('a');
                suspend();
                inner_log.borrow_mut().push('d');
            });
            inner.resume();
            log.borrow_mut().push('b');
            suspend(); // continues this test, not `inner`
            if !inner.resume() {
                log.borrow_mut().push('e');
            }
        }
    });
    assert!(outer.resume());
    log.borrow_mut().push('c');
    assert!(!outer.resume());
    assert_eq!(*log.borrow(), "abcde");
}

#[test]
fn values_in_registers_survive() {
    // The body holds more values than the processor has registers to keep across a call.
    let same = Rc::new(Cell::new(false));
    let report = Rc::clone(&same);
    let mut other = coroutine(move || {
        let mut values: [u64; 24] =
            std::array::from_fn(|n| std::hint::black_box(n as u64));
        for _ in 0..1000 {
            values = values.map(|value| value.wrapping_mul(3).wrapping_add(1));
            suspend();
        }
        let mut expected: [u64; 24] = std::array::from_fn(|n| n as u64);
        for _ in 0..1000 {
            expected = expected.map(|value| value.wrapping_mul(3).wrapping_add(1));
        }
        report.set(values == expected);
    });
    let (mut integers, mut floats) = ([1_u64; 16], [1.0_f64; 16]);
    while other.resume() {
        integers = integers.map(|value| value.wrapping_mul(5).wrapping_add(7));
        floats = floats.map(|value| value * 0.5 + 1.0);
    }
    assert!(same.get());
    let (mut expected, mut expected_floats) = (1_u64, 1.0_f64);
    for _ in 0..1000 {
        expected = expected.wrapping_mul(5).wrapping_add(7);
        expected_floats = expected_floats * 0.5 + 1.0;
    }
    assert_eq!((integers, floats), ([expected; 16], [expected_floats; 16]));
}

#[test]
fn what_has_not_begun_is_dropped_and_what_is_suspended_is_leaked() {
    let value = Rc::new(());
    let held = Rc::clone(&value);
    drop(coroutine(move || drop(held)));
    assert_eq!(Rc::strong_count(&value), 1);
    let held = Rc::clone(&value);
    let mut suspended = coroutine(move || {
        let held = held;
        suspend();
        drop(held);
    });
    assert!(suspended.resume());
    drop(suspended);
    assert_eq!(Rc::strong_count(&value), 2);
}

#[test]
#[should_panic(expected = "no coroutine to suspend")]
fn there_must_be_a_coroutine() {
    suspend();
}

#[test]
fn a_backtrace_ends_with_the_stack() {
    let trace = Rc::new(RefCell::new(String::new()));
    let report = Rc::clone(&trace);
    let mut other = coroutine(move || {
        suspend();
        *report.borrow_mut() = Backtrace::force_capture().to_string();
    });
    assert!(other.resume());
    assert!(!other.resume());
    let trace = trace.borrow();
    assert!(trace.contains("run"), "{trace}");
    assert!(!trace.contains("resume"), "{trace}"); // `resume` is on another stack
}
