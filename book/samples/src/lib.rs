//! The types of samples, which the program `samples` prints as JSON and the lab reads. Experiments
//! that call the chapters' code directly, without a server, take each sample in a fresh process.
//!
//! The code of samples is a separate package, because it must be fully optimized, and the rest of
//! the book's program need not be (`[profile.release]`). The program `samples` is separate from the
//! program `book`, because the pages do not need it: the lab builds it for the experiments that do.

pub mod proc;

use load_generator::HoldOutcome;
use serde::{Deserialize, Serialize};

/// A sample of `lab herd`: the totals of all event loops in a process, divided by the number of
/// clients, and the busiest loop's fraction of the clients.
#[derive(Serialize, Deserialize)]
pub struct Herd {
    /// The number of times that a sleeping loop was woken, per client.
    pub wakes: f64,
    /// The number of times, per client, that a wait reported a connection to accept but the loop
    /// then accepted none.
    pub in_vain: f64,
    /// Processor time of all loops per client, in microseconds.
    pub cpu_microseconds: f64,
    /// The fraction of all clients that the busiest loop accepted.
    pub busiest: f64,
}

/// A message from a process of idle clients, for `lab hold`.
#[derive(Serialize, Deserialize)]
pub enum Hold {
    /// The number of clients that have been answered so far in the current round. In the first
    /// round each client sends its first request, and in the second round its second.
    Answered(usize),
    /// The first round has ended, and the clients are idle.
    Holding,
    /// The outcome of both rounds. This is the last message, and the process ends.
    Over(HoldOutcome),
}

/// The result of one measurement of `lab readiness`.
#[derive(Serialize, Deserialize)]
pub enum Readiness {
    /// The measured times of one wait, round or event, depending on the kind of sample.
    Took {
        /// Microseconds of processor time, user and system together.
        cpu: f64,
        /// Microseconds of elapsed time.
        wall: f64,
    },
    /// Nothing was measured, because the poller refused to watch one of the descriptors.
    Full {
        /// The number of descriptors that were registered with the poller before that one.
        after: usize,
    },
}

/// A sample of `lab spawn`: the cost of one thread or process.
#[derive(Serialize, Deserialize)]
pub struct Spawn {
    /// Processor time to create the thread or process and to end it, in microseconds.
    pub cpu_microseconds: f64,
    /// The thread's or process's own memory, in bytes.
    pub user_bytes: f64,
    /// The kernel's memory for the thread or process, in bytes.
    pub kernel_bytes: f64,
}

/// One measurement that a child process of `lab switch` prints.
#[derive(Serialize, Deserialize)]
pub enum Switch {
    /// Processor time of the measured operation (such as a switch to a coroutine and back), in
    /// nanoseconds.
    Took(f64),
    /// Memory of many suspended coroutines, and the processor time to create one.
    Holds {
        /// Bytes of memory per coroutine.
        own: f64,
        /// Bytes of page tables per coroutine.
        tables: f64,
        /// Nanoseconds of processor time to create a coroutine and suspend it.
        nanoseconds: f64,
        /// The number of memory mappings of the whole process.
        mappings: usize,
    },
}
