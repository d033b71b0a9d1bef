// ANCHOR: all
//! Two functions that take turns on one thread, each with its own stack.
//!
//! With the argument `panic` the second function panics, with `deep` it overflows its
//! stack.
#![allow(unsafe_code)] // `Coroutine::new` is unsafe

use ch06_coroutines::small::coroutine::{Coroutine, suspend};
use std::{env, hint, io};

fn count(name: &str, last: u32) {
    for number in 1..=last {
        say(&format!("{name} {number}"));
    }
    println!("{name} ends");
}

fn say(text: &str) {
    println!("{text}");
    suspend();
}

/// Calls itself until the stack is full.
fn deep(level: u64) -> u64 {
    let frame = hint::black_box([level; 128]);
    if level == u64::MAX { 0 } else { deep(level + 1) + frame[0] }
}

fn main() -> io::Result<()> {
    let second = env::args().nth(1).unwrap_or_default();
    let second = move || match second.as_str() {
        "panic" => panic!("two has had enough"),
        "deep" => println!("{}", deep(0)),
        _ => count("two", 2),
    };
    // SAFETY: the body suspends only in `say`, and refers to no thread-local there.
    let mut one = unsafe { Coroutine::new(|| count("one", 3)) }?;
    // SAFETY: the second body suspends only in `say`, and refers to no thread-local.
    let mut two = unsafe { Coroutine::new(second) }?;
    while one.resume() | two.resume() {
        println!("main");
    }
    Ok(())
}
// ANCHOR_END: all
