//! Measures one resume and one suspend with two popular coroutine libraries, in nanoseconds of
//! processor time. `lab switch` compares these libraries with the book's coroutines.

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The minimum processor time of a measurement.
const ENOUGH: Duration = Duration::from_millis(20);
/// The size of a stack, in bytes.
const STACK: usize = 64 * 1024;

fn main() -> ExitCode {
    let nanoseconds = match std::env::args().nth(1).as_deref() {
        Some("corosensei") => corosensei(),
        Some("generator") => generator(),
        _ => {
            eprintln!("switch: the argument must be corosensei or generator");
            return ExitCode::FAILURE;
        }
    };
    println!("{nanoseconds}");
    ExitCode::SUCCESS
}

fn corosensei() -> f64 {
    use corosensei::stack::DefaultStack;
    use corosensei::{Coroutine, CoroutineResult};
    let stack = DefaultStack::new(STACK).expect("a stack");
    let mut coroutine = Coroutine::<(), (), (), _>::with_stack(stack, |yielder, ()| {
        loop {
            yielder.suspend(());
        }
    });
    repeat(|times| {
        for _ in 0..times {
            assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        }
    })
}

fn generator() -> f64 {
    let words = STACK / size_of::<usize>();
    let mut generator = generator::Gn::<()>::new_scoped_opt(words, |mut scope| {
        loop {
            scope.yield_(());
        }
    });
    repeat(|times| {
        for _ in 0..times {
            assert!(generator.resume().is_some());
        }
    })
}

/// Measures `batch`, whose argument is a number of iterations: doubles the number until one call
/// uses at least [`ENOUGH`] processor time. Returns that call's processor time per iteration, in
/// nanoseconds.
fn repeat(mut batch: impl FnMut(u32)) -> f64 {
    let mut times = 1_000;
    batch(times); // Warm up, so that first page faults and cold caches are not measured.
    loop {
        let before = cpu();
        batch(times);
        let spent = cpu() - before;
        if spent >= ENOUGH {
            return spent.as_nanos() as f64 / f64::from(times);
        }
        times *= 2;
    }
}

/// Returns the user and system time of this process.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has an account");
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(microseconds as u64)
}
