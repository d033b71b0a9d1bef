//! Samples of `lab spawn`: the cost of processes and threads.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use ch01_blocking::server::sys::{self, Pid, Signal};
use nix::sys::wait::waitpid;
use samples::Spawn;
use samples::proc::{cpu, meminfo, of_process};

/// The size of a thread's stack, in bytes. The server `thread` uses the same size.
const STACK: usize = 256 * 1024;

/// Takes one sample in this process, which should have done nothing else before. `what` is
/// `process` or `thread`, and `count` the number of processes or threads.
pub(crate) fn sample(what: &str, count: usize) -> Result<Spawn> {
    let before = (cpu()?, kernel_kib());
    let (user_bytes, kernel_kib_held) = match what {
        "process" => processes(count)?,
        "thread" => threads(count)?,
        _ => bail!("neither a process nor a thread: {what}"),
    };
    let each = |total: f64| total.max(0.0) / count as f64;
    Ok(Spawn {
        cpu_microseconds: each((cpu()? - before.0).as_secs_f64() * 1e6),
        user_bytes: each(user_bytes),
        kernel_bytes: each((kernel_kib_held - before.1) as f64 * 1024.0),
    })
}

/// Creates `count` processes, measures memory while they sleep, and ends them. Returns the sum of
/// the processes' private memory, in bytes, and the result of [`kernel_kib`] while they sleep.
fn processes(count: usize) -> Result<(f64, i64)> {
    let mut children: Vec<Pid> = Vec::with_capacity(count);
    let mut failed = None;
    for _ in 0..count {
        match sys::fork() {
            Ok(Some(child)) => children.push(child),
            Ok(None) => loop {
                nix::unistd::pause(); // until SIGKILL
            },
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let held = kernel_kib();
    // A sample of a hundred children is enough: all children are alike, and reading their memory
    // from /proc takes time.
    let some: Vec<f64> =
        children.iter().take(100).filter_map(|child| private_bytes(child).ok()).collect();
    let user = some.iter().sum::<f64>() / some.len().max(1) as f64 * count as f64;
    for &child in &children {
        sys::kill(child, Signal::SIGKILL)?;
        waitpid(child, None)?;
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => {
            bail!("the system allowed only {} processes: {error}", children.len())
        }
    }
}

/// Creates `count` threads, measures memory while they sleep, and ends them. Returns the bytes by
/// which the threads have increased this process's private memory, and the result of [`kernel_kib`]
/// while they sleep.
fn threads(count: usize) -> Result<(f64, i64)> {
    let asleep = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let before = private_bytes("self")?;
    let mut sleepers = Vec::with_capacity(count);
    let mut failed = None;
    for _ in 0..count {
        let (asleep, gate) = (asleep.clone(), gate.clone());
        let sleep = move || {
            let closed = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            asleep.fetch_add(1, SeqCst);
            drop(gate.1.wait_while(closed, |open| !*open));
        };
        match thread::Builder::new().stack_size(STACK).spawn(sleep) {
            Ok(sleeper) => sleepers.push(sleeper),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    while asleep.load(SeqCst) < sleepers.len() {
        thread::sleep(Duration::from_millis(1));
    }
    let (user, held) = (private_bytes("self").unwrap_or(before) - before, kernel_kib());
    *gate.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    gate.1.notify_all();
    let made = sleepers.len();
    for sleeper in sleepers {
        let _ = sleeper.join(); // the thread cannot have panicked
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => {
            bail!("the system allowed only {made} threads: {error}")
        }
    }
}

/// Returns the memory of the process `pid` that it shares with no other process, in bytes.
fn private_bytes(pid: impl std::fmt::Display + Copy) -> Result<f64> {
    let kib = |name| of_process(pid, "smaps_rollup", name);
    Ok((kib("Private_Clean")? + kib("Private_Dirty")?) as f64 * 1024.0)
}

/// Returns the kernel's memory that grows with processes and threads, in KiB: kernel stacks, page
/// tables, and other objects. The figure is that of the whole machine, so other programs disturb
/// it.
fn kernel_kib() -> i64 {
    ["KernelStack", "PageTables", "SUnreclaim"]
        .iter()
        .map(|name| meminfo(name) as i64)
        .sum()
}
