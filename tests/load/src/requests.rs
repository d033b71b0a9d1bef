//! The requests as bytes, which are generated once for a whole run.

use super::plan::Plan;

/// The bytes that clients send: a request, repeated as often as one client may have it in flight.
#[derive(Debug)]
pub(super) struct Requests {
    many: Vec<u8>,
    /// The length of one request, in bytes.
    pub length: usize,
    /// The request of an idle client, which always keeps the connection open.
    held: Vec<u8>,
    /// Index of the first idle client.
    holding: usize,
}

impl Requests {
    pub(super) fn new(plan: &Plan) -> Requests {
        let Plan { path, host, .. } = plan;
        let request = |more: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").into_bytes()
        };
        let one = request(if plan.keep_alive { "" } else { "Connection: close\r\n" });
        Requests {
            many: one.repeat(plan.depth()),
            length: one.len(),
            held: request(""),
            holding: plan.connections,
        }
    }

    /// Returns the bytes that the client `index` sends (one or more equal requests), and the length
    /// of one of these requests in bytes.
    #[inline]
    pub(super) fn of(&self, index: usize) -> (&[u8], usize) {
        if index < self.holding {
            (&self.many, self.length)
        } else {
            (&self.held, self.held.len())
        }
    }
}
