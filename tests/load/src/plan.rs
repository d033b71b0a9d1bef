//! A load test's plan, its phases, and its outcome.

use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The plan of a load test: the server, the requests, and the connections.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's address.
    pub address: SocketAddr,
    /// The value of the field `Host`.
    pub host: String,
    /// The path to request, such as `/plaintext`.
    pub path: String,
    /// Number of connections that send requests.
    pub connections: usize,
    /// Number of requests in flight per connection (pipelining); 1 means no pipelining.
    pub depth: usize,
    /// Whether connections are reused; otherwise each serves one request and is closed.
    pub keep_alive: bool,
    /// Number of additional connections that send one request at the start and then stay idle.
    pub idle: usize,
    /// Open loop: the number of requests per second that are due, over all connections. `None` is
    /// the closed loop.
    pub rate: Option<f64>,
    /// The time without a response after which a client gives up the connection and opens another.
    pub timeout: Duration,
    /// The time for which requests are sent before measuring begins.
    pub warm_up: Duration,
    /// The time for which new requests are sent and counted.
    pub time: Duration,
    /// The content that every 2xx response must have, with a matching Content-Length. A 2xx
    /// response with another content, or without Content-Length, counts as malformed. If `None`,
    /// every content is accepted.
    pub content: Option<Vec<u8>>,
}

impl Plan {
    /// Returns a plan with 64 connections, one request at a time, and ten seconds of measuring
    /// after one second of warm-up.
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

    /// Returns the number of requests in flight per connection: always 1 without keep-alive.
    pub(super) fn depth(&self) -> usize {
        if self.keep_alive { self.depth.max(1) } else { 1 }
    }
}

/// The phase of a load test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened. Each connection sends one request, whose response proves that
    /// the server has accepted the connection.
    Opening {
        /// Number of connections answered so far, including idle ones.
        open: usize,
    },
    /// Requests are sent, but no request is counted yet.
    WarmUp,
    /// Requests and errors are counted. This phase is reported first when no request is in flight,
    /// then about ten times a second.
    Measuring {
        /// The part of [`Plan::time`] that has passed.
        done: Duration,
    },
    /// No request is in flight, and none will be sent.
    Finished,
}

/// The outcome of a load test.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Number of requests sent within [`Plan::time`] and answered with 2xx, then or later.
    pub requests: u64,
    /// Number of bytes received for the counted requests, heads and contents.
    pub bytes: u64,
    /// The time from the start of measuring to the last response, or [`Plan::time`] if that is
    /// longer.
    pub elapsed: Duration,
    /// The latency of each request in nanoseconds, to the last byte of its response: from the time
    /// at which it was sent, or in the open loop from the time at which it was due.
    pub latency: Histogram<u64>,
    /// Numbers of errors from the start of measuring to the end of the run.
    pub errors: Errors,
    /// Open loop: the number of requests that were due, but for which no connection was free.
    pub unsent: u64,
    /// Number of idle connections that were still open at the end of the run.
    pub idle: usize,
    /// The share of `elapsed` in which the thread of all clients was running. If the share is close
    /// to 1, the client was the bottleneck, not the server.
    pub client_busy: f64,
}

/// Numbers of errors by kind. An error of any kind except `status` also ends the connection, with
/// all requests in flight on it; a tenth of a second later the client opens a new one.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize,
)]
pub struct Errors {
    /// Connections that could not be established, or were not established within [`Plan::timeout`].
    pub connect: u64,
    /// Connections that the server reset with a request in flight.
    pub reset: u64,
    /// Connections that the server closed before the end of a response.
    pub cut_short: u64,
    /// Connections on which no response arrived within [`Plan::timeout`].
    pub timed_out: u64,
    /// Responses whose status was not 2xx.
    pub status: u64,
    /// Connections on which the bytes received were not a valid response, not requested, or not the
    /// expected content.
    pub malformed: u64,
}

impl Errors {
    /// Returns the sum of the errors of all kinds.
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
