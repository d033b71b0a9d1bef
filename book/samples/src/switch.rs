//! Samples of `lab switch`: the cost of coroutines and of switching between stacks.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use ch05_epoll::epoll::{Epoll, Trigger};
use ch06_coroutines::context::variants::{self, ByJump, ByReturn, Inlined, Pair};
use ch06_coroutines::{Coroutine, Handle, Resumed, Runtime, Stack, StackPool, suspend};
use samples::Switch;
use samples::proc::{cpu, of_process};

/// The least processor time of a measured batch of operations. A batch that takes less time is
/// followed by a batch of twice as many operations.
const ENOUGH: Duration = Duration::from_millis(20);

/// Takes one sample of the kind `what` in this process. `count` is the number of coroutines for the
/// kind `parked`; other kinds ignore `count`.
pub(crate) fn sample(what: &str, count: usize) -> Result<Switch> {
    match what {
        "return" => pair::<ByReturn>(),
        "jump" => pair::<ByJump>(),
        "inlined" => pair::<Inlined>(),
        "coroutine" => coroutine(),
        "spawn" => spawn(),
        "yield" => yields(),
        "threads" => threads(),
        "parked" => park(count),
        _ => bail!("no sample of `lab switch` is called {what}"),
    }
}

/// Measures the processor time of one operation. The function `batch` is called with the number of
/// times that it must perform the operation.
fn repeat(mut batch: impl FnMut(u32)) -> Result<Switch> {
    let taken = crate::repeat(1_024, ENOUGH, |times| {
        batch(times);
        Ok(())
    })?;
    Ok(Switch::Took(taken.cpu * 1e9))
}

fn pair<F: variants::Form>() -> Result<Switch> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut pair = Pair::<F>::new(stacks.take()?);
    repeat(|times| {
        for _ in 0..times {
            pair.round_trip();
        }
    })
}

/// Creates a coroutine with the given stack. `body` must use no thread-local variable, so that the
/// conditions of `Coroutine::new` hold.
fn new_coroutine(stack: Stack, id: u64, body: impl FnOnce() + 'static) -> Coroutine {
    // SAFETY: all conditions of `Coroutine::new` are about thread-local variables, and `body` uses
    // none: no function in this file passes a body that does.
    unsafe { Coroutine::new(stack, id, body) }
}

fn coroutine() -> Result<Switch> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut coroutine = new_coroutine(stacks.take()?, 1, || {
        loop {
            suspend();
        }
    });
    repeat(|times| {
        for _ in 0..times {
            assert!(matches!(coroutine.resume(), Resumed::Suspended));
        }
    })
}

fn spawn() -> Result<Switch> {
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let stack = stacks.take()?;
    stacks.give_back(stack);
    repeat(|times| {
        for id in 0..times {
            let Ok(stack) = stacks.take() else { unreachable!("one was given back") };
            // The closure captures as many bytes as that of a coroutine which the scheduler spawns,
            // so that creating this coroutine costs as much.
            let captured = black_box([u64::from(id); 6]);
            let mut coroutine = new_coroutine(stack, id.into(), move || {
                black_box(&captured);
            });
            assert!(matches!(coroutine.resume(), Resumed::Finished));
            stacks.give_back(coroutine.into_stack());
        }
    })
}

/// Measures the processor time of `yield_now`, called by 64 coroutines. The scheduler runs each
/// coroutine in turn, and polls the kernel once per round of all 64.
fn yields() -> Result<Switch> {
    const COROUTINES: u32 = 64;
    let stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let poller = Box::new(Epoll::new(Trigger::Level)?);
    let runtime = Runtime::with_stacks(poller, stacks)?;
    let first = |handle: &Handle| -> Result<Switch> {
        let over = Rc::new(Cell::new(false));
        for _ in 1..COROUTINES {
            let over = Rc::clone(&over);
            let yields = move |handle: &Handle| {
                while !over.get() {
                    handle.yield_now();
                }
            };
            // SAFETY: the closure `yields`, which the coroutine runs, uses no thread-local.
            drop(unsafe { handle.spawn_coroutine(yields) }?);
        }
        let sample = repeat(|times| {
            for _ in 0..times / COROUTINES {
                handle.yield_now(); // returns when all others have yielded
            }
        });
        over.set(true);
        sample
    };
    // SAFETY: the closure `first`, which the coroutine runs, uses no thread-local.
    let sample = unsafe { runtime.run_coroutine(first) }?;
    sample.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Measures the processor time of two threads that wake each other in turn. The calling thread runs
/// while the shared number is even, and the thread `other` while the number is odd.
fn threads() -> Result<Switch> {
    const OVER: u32 = u32::MAX;
    let turn = Arc::new(AtomicU32::new(0));
    let (here, turns) = (thread::current(), Arc::clone(&turn));
    let other = thread::spawn(move || {
        loop {
            match turns.load(SeqCst) {
                OVER => return,
                now if now % 2 == 1 => {
                    turns.store(now.wrapping_add(1) % (OVER - 1), SeqCst);
                    here.unpark();
                }
                _ => thread::park(),
            }
        }
    });
    let sample = repeat(|times| {
        for _ in 0..times {
            let mine = turn.load(SeqCst);
            turn.store(mine + 1, SeqCst);
            other.thread().unpark();
            while turn.load(SeqCst) == mine + 1 {
                thread::park();
            }
        }
    });
    turn.store(OVER, SeqCst);
    other.thread().unpark();
    let _ = other.join(); // the thread cannot have panicked
    sample
}

/// Creates `count` coroutines and runs each until it suspends. Measures the memory of the suspended
/// coroutines, and the processor time that it took to create them.
fn park(count: usize) -> Result<Switch> {
    let kib = |name| of_process("self", "status", name);
    let mut stacks = StackPool::new(StackPool::DEFAULT_SIZE)?;
    let mut parked = Vec::with_capacity(count);
    let before = (kib("RssAnon")?, kib("VmPTE")?, cpu()?);
    for id in 0..count {
        let mut coroutine = new_coroutine(stacks.take()?, id as u64, suspend);
        coroutine.resume();
        parked.push(coroutine);
    }
    let nanoseconds = (cpu()? - before.2).as_nanos() as f64;
    let each =
        |kib: u64, before: u64| (kib as f64 - before as f64) * 1024.0 / count as f64;
    let mappings = std::fs::read_to_string("/proc/self/maps")?.lines().count();
    Ok(Switch::Holds {
        own: each(kib("RssAnon")?, before.0),
        tables: each(kib("VmPTE")?, before.1),
        nanoseconds: nanoseconds / count as f64,
        mappings,
    })
}
