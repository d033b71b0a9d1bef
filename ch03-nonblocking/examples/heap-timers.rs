//! Deadlines in a binary heap, for comparison with the chapter's timing wheel.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

// ANCHOR: heap
/// The deadlines of connections, at most one for each index of a connection, in a heap
/// with the earliest deadline on top.
#[derive(Default)]
struct HeapTimers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The deadline of each index, or `None`. A heap entry with a different deadline is
    /// out of date.
    due: Vec<Option<Instant>>,
}

impl HeapTimers {
    /// Sets or moves the deadline of `index`. If a deadline moves, its old entry stays
    /// in the heap.
    fn set(&mut self, index: u32, at: Instant) {
        if self.due.len() <= index as usize {
            self.due.resize(index as usize + 1, None);
        }
        self.due[index as usize] = Some(at);
        self.heap.push(Reverse((at, index)));
    }

    /// Returns the earliest deadline, or `None` if there is no deadline. Removes all
    /// entries above it, which are out of date.
    fn next(&mut self) -> Option<Instant> {
        while let Some(&Reverse((at, index))) = self.heap.peek() {
            if self.due[index as usize] == Some(at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    /// Removes the deadlines that have passed, and appends their indices to `late`.
    fn expired(&mut self, now: Instant, late: &mut Vec<u32>) {
        while self.next().is_some_and(|at| at <= now) {
            let Some(Reverse((_, index))) = self.heap.pop() else { return };
            self.due[index as usize] = None;
            late.push(index);
        }
    }
}
// ANCHOR_END: heap

// ANCHOR: main
fn main() {
    let (mut timers, start) = (HeapTimers::default(), Instant::now());
    let idle = Duration::from_secs(60);
    // One connection sends 100,000 requests in ten seconds. Each answer moves the
    // connection's idle deadline, and leaves an entry that is out of date in the heap.
    for request in 1..=100_000 {
        timers.set(0, start + Duration::from_micros(100 * request) + idle);
    }
    println!("1 connection, {} entries in the heap", timers.heap.len());
    let mut late = Vec::new();
    timers.expired(start + Duration::from_secs(70), &mut late);
    println!("after 70 seconds {late:?} is late, {} entries", timers.heap.len());
}
// ANCHOR_END: main
