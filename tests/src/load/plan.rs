//! What is to be done, what is being done, and what came of it.

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Who asks whom for what, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub address: SocketAddr,
    /// What stands in the field `Host`.
    pub host: String,
    /// What is asked for, as in `/plaintext`.
    pub path: String,
    /// So many clients ask at once.
    pub connections: usize,
    /// So many requests each of them has under way (pipelining); 1 is one at a time.
    pub depth: usize,
    /// A connection serves any number of requests; otherwise one, and then it is closed.
    pub keep_alive: bool,
    /// So many more clients have asked once, and hold their connections and say nothing.
    pub idle: usize,
    /// Open loop: so many requests a second are due, over all connections.
    pub rate: Option<f64>,
    /// How long a client bears to have no answer. Then it gives the connection up, and
    /// makes another.
    pub timeout: Duration,
    /// Before measuring, the same goes on for so long.
    pub warm_up: Duration,
    /// For so long new requests are sent and counted.
    pub time: Duration,
    /// What every good answer must contain, sent with a Content-Length. If nothing is said,
    /// anything will do.
    pub content: Option<Vec<u8>>,
}

impl Plan {
    /// One request at a time on 64 connections, for ten seconds after one.
    pub fn new(address: SocketAddr, path: &str) -> Plan {
        Plan {
            address,
            host: address.to_string(),
            path: path.to_owned(),
            connections: 64,
            depth: 1,
            keep_alive: true,
            idle: 0,
            rate: None,
            timeout: Duration::from_secs(10),
            warm_up: Duration::from_secs(1),
            time: Duration::from_secs(10),
            content: None,
        }
    }

    /// Who closes the connection after each answer cannot ask twice.
    pub(super) fn depth(&self) -> usize {
        if self.keep_alive { self.depth.max(1) } else { 1 }
    }
}

/// What a run is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are made. Each asks once, so that the server has it, and rests.
    Opening {
        /// So many have been answered, idle ones among them.
        open: usize,
    },
    /// Nothing is counted yet.
    WarmUp,
    /// Everything is counted. Told first when nothing is under way, then about ten times a
    /// second.
    Measuring {
        /// Of the plan's time.
        done: Duration,
    },
    /// Nothing is under way any more.
    Finished,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Asked and well answered within the measured time.
    pub requests: u64,
    /// Received for them, heads and contents.
    pub bytes: u64,
    /// From the first request to the last answer, at least the plan's time.
    pub elapsed: Duration,
    /// In nanoseconds, of each of the requests: from its being sent, or in the open loop
    /// from when it should have been, to the last byte of its answer.
    pub latency: Histogram<u64>,
    /// What went wrong within the measured time.
    pub errors: Errors,
    /// In the open loop: were due, but no connection was free to send them.
    pub unsent: u64,
    /// Connections held beside that were still there at the end.
    pub idle: usize,
    /// The share of the measured time in which the client's thread was running. Close to 1,
    /// the client was measured, not the server.
    pub client_busy: f64,
}

/// What went wrong, by kind. Every kind but `status` also ended the connection, and whatever
/// was under way on it; after a rest of a tenth of a second, there was a new one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize,
)]
pub struct Errors {
    /// No connection could be made, or not in time.
    pub connect: u64,
    /// The server reset the connection while an answer was due.
    pub reset: u64,
    /// It closed the connection before the answer's end.
    pub cut_short: u64,
    /// It did not answer in time.
    pub timed_out: u64,
    /// It answered with a status other than 2xx.
    pub status: u64,
    /// What it said is no answer, or one that nobody asked for, or not the expected one.
    pub malformed: u64,
}

impl Errors {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.connect
            + self.reset
            + self.cut_short
            + self.timed_out
            + self.status
            + self.malformed
    }
}

impl std::ops::AddAssign for Errors {
    fn add_assign(&mut self, more: Errors) {
        let Errors { connect, reset, cut_short, timed_out, status, malformed } = more;
        self.connect += connect;
        self.reset += reset;
        self.cut_short += cut_short;
        self.timed_out += timed_out;
        self.status += status;
        self.malformed += malformed;
    }
}
