//! The open loop's schedule: the times at which requests are due, whatever the server does, and the
//! clients that are free to send them.

use std::collections::VecDeque;

/// Requests at a constant rate, from the time `begin` to the time `end`. All times are in
/// nanoseconds.
#[derive(Debug)]
pub(super) struct Schedule {
    begin: u64,
    end: u64,
    /// Nanoseconds between two requests.
    interval: f64,
    /// Number of requests sent so far.
    sent: u64,
    free: VecDeque<usize>,
    /// For each client, whether the list `free` contains the client.
    waits: Vec<bool>,
}

impl Schedule {
    /// Returns a schedule of `rate` requests per second for `clients` clients.
    pub(super) fn new(rate: f64, begin: u64, end: u64, clients: usize) -> Schedule {
        Schedule {
            begin,
            end,
            interval: 1e9 / rate,
            sent: 0,
            free: VecDeque::with_capacity(clients),
            waits: vec![false; clients],
        }
    }

    /// Records that a client can send a request.
    pub(super) fn mark_free(&mut self, client: usize) {
        if !std::mem::replace(&mut self.waits[client], true) {
            self.free.push_back(client);
        }
    }

    /// Returns the time at which the next request is due, in nanoseconds, or `None` if no request
    /// is left or no client is free to send it.
    pub(super) fn next(&self) -> Option<u64> {
        let due = self.begin + (self.sent as f64 * self.interval) as u64;
        (due < self.end && !self.free.is_empty()).then_some(due)
    }

    /// Returns a request that is due by `now`: the time at which it was due, and the client that is
    /// to send it, which has been free longest. Returns `None` if no request is due or no client is
    /// free.
    pub(super) fn due(&mut self, now: u64) -> Option<(u64, usize)> {
        let due = self.next().filter(|&due| due <= now)?;
        let client = self.free.pop_front()?;
        self.waits[client] = false;
        Some((due, client))
    }

    /// Records that the request returned by [`due`](Schedule::due) has been sent.
    pub(super) fn mark_sent(&mut self) {
        self.sent += 1;
    }

    /// Returns the number of requests that were due but have not been sent, because no client was
    /// free.
    pub(super) fn unsent(&self) -> u64 {
        let all = (self.end - self.begin) as f64 / self.interval;
        (all.ceil() as u64).saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn a_late_request_counts_from_when_it_was_due() {
        let mut schedule = Schedule::new(1e9, 100, 104, 2);
        assert_eq!(schedule.next(), None); // no client is free
        schedule.mark_free(1);
        schedule.mark_free(1);
        assert_eq!(schedule.next(), Some(100));
        assert_eq!(schedule.due(99), None);
        assert_eq!(schedule.due(200), Some((100, 1)));
        schedule.mark_sent();
        assert_eq!(schedule.due(200), None);
        schedule.mark_free(0);
        assert_eq!(schedule.due(200), Some((101, 0)));
        schedule.mark_sent();
        schedule.mark_free(0);
        assert_eq!(schedule.unsent(), 2); // the requests due at 102 and 103
    }
}
