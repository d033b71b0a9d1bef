//! What a process would leave behind if it were killed now.
//!
//! A process that serves one client and ends needs no such thing: whoever buries it
//! knows that one client has gone. One that serves many clients, and shares counters and
//! budgets with its siblings, writes down what it holds, in memory that its parent can
//! read when it is dead. It counts first and takes afterwards, so that at worst a little
//! too much is given back.

use crate::http::Budget;
use crate::stats::Stats;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// One process's page of it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Ledger {
    open: AtomicUsize,
    buffered: AtomicUsize,
}

/// This process's own, if it keeps one.
static OURS: OnceLock<&'static Ledger> = OnceLock::new();

impl Ledger {
    /// From now on this process writes into this ledger, which it shares with its parent
    /// ([`shared`](crate::sys::shared)).
    pub fn keep(&'static self) {
        OURS.get_or_init(|| self);
    }

    /// Gives back what a process held that is dead.
    pub fn settle(&self, stats: &Stats, buffered: &Budget) {
        for _ in 0..self.open.swap(0, SeqCst) {
            stats.closed.add();
        }
        buffered.give_back(self.buffered.swap(0, SeqCst));
    }
}

/// This process has one connection more.
pub(crate) fn opens() {
    if let Some(ours) = OURS.get() {
        ours.open.fetch_add(1, SeqCst);
    }
}

/// This process has one connection less.
pub(crate) fn closes() {
    if let Some(ours) = OURS.get() {
        ours.open.fetch_sub(1, SeqCst);
    }
}

/// This process holds so many bytes of the budget more.
pub(crate) fn takes(bytes: usize) {
    if let Some(ours) = OURS.get() {
        ours.buffered.fetch_add(bytes, SeqCst);
    }
}

/// This process holds so many bytes of the budget less.
pub(crate) fn returns(bytes: usize) {
    if let Some(ours) = OURS.get() {
        ours.buffered.fetch_sub(bytes, SeqCst);
    }
}
