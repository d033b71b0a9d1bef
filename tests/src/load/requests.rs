//! What is sent: made once, as text.

use super::plan::Plan;

/// The same request, as often as one client has it under way.
#[derive(Debug)]
pub(super) struct Requests {
    many: Vec<u8>,
    /// Of one.
    pub length: usize,
    /// Of those who ask once and are held: one that keeps its connection.
    held: Vec<u8>,
    /// From this place on they are held.
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

    /// What the client at this place sends, and the length of one.
    #[inline]
    pub(super) fn of(&self, place: usize) -> (&[u8], usize) {
        if place < self.holding {
            (&self.many, self.length)
        } else {
            (&self.held, self.held.len())
        }
    }
}
