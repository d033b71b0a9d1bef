//! Samples of `lab spawn`.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use ch01_blocking::server::sys::{self, Pid, Signal};
use nix::sys::wait::waitpid;
use serde::{Deserialize, Serialize};

use crate::proc::{cpu, meminfo, of_process};

/// As much as the `thread` server reserves.
const STACK: usize = 256 * 1024;

/// What one process measured, for each thread or process.
#[derive(Serialize, Deserialize)]
pub struct Sample {
    /// Processor time to make one and end it, in microseconds.
    pub cpu_microseconds: f64,
    /// Its own memory.
    pub user_bytes: f64,
    /// The kernel's memory for it.
    pub kernel_bytes: f64,
}

/// Takes one sample in this process, which should have done nothing else.
pub fn sample(what: &str, count: usize) -> Result<Sample> {
    let before = (cpu()?, kernel_kib());
    let (user_bytes, kernel_kib_held) = match what {
        "process" => processes(count)?,
        "thread" => threads(count)?,
        _ => bail!("neither a process nor a thread: {what}"),
    };
    let each = |total: f64| total.max(0.0) / count as f64;
    Ok(Sample {
        cpu_microseconds: each((cpu()? - before.0).as_secs_f64() * 1e6),
        user_bytes: each(user_bytes),
        kernel_bytes: each((kernel_kib_held - before.1) as f64 * 1024.0),
    })
}

/// Makes processes, measures what they and the kernel hold while they sleep, and ends them.
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
    // All children are alike, and reading this costs time: a hundred are enough.
    let some: Vec<f64> =
        children.iter().take(100).filter_map(|child| private_bytes(child).ok()).collect();
    let user = some.iter().sum::<f64>() / some.len().max(1) as f64 * count as f64;
    for &child in &children {
        sys::kill(child, Signal::SIGKILL)?;
        waitpid(child, None)?;
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => bail!(
            "the system has no more than {} processes for us: {error}",
            children.len()
        ),
    }
}

/// The same for threads.
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
        let _ = sleeper.join(); // it cannot have panicked
    }
    match failed {
        None => Ok((user, held)),
        Some(error) => {
            bail!("the system has no more than {made} threads for us: {error}")
        }
    }
}

/// Memory that no other process shares, in bytes.
fn private_bytes(pid: impl std::fmt::Display + Copy) -> Result<f64> {
    let kib = |name| of_process(pid, "smaps_rollup", name);
    Ok((kib("Private_Clean")? + kib("Private_Dirty")?) as f64 * 1024.0)
}

/// The kernel's memory that grows with processes and threads: their kernel stacks,
/// page tables, and entries in its tables. For the whole machine, so it takes a quiet one.
fn kernel_kib() -> i64 {
    ["KernelStack", "PageTables", "SUnreclaim"]
        .iter()
        .map(|name| meminfo(name) as i64)
        .sum()
}
