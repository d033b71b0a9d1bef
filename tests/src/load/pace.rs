//! The open loop: when requests are due, whatever the server does, and who is free to send
//! them.

use std::collections::VecDeque;

/// A steady pace, from one moment to another.
#[derive(Debug)]
pub(super) struct Pace {
    begin: u64,
    end: u64,
    /// Nanoseconds between two requests.
    interval: f64,
    /// So many have been sent.
    asked: u64,
    free: VecDeque<usize>,
    /// Who stands in `free`.
    waits: Vec<bool>,
}

impl Pace {
    /// So many requests a second, for so many clients.
    pub(super) fn new(rate: f64, begin: u64, end: u64, clients: usize) -> Pace {
        Pace {
            begin,
            end,
            interval: 1e9 / rate,
            asked: 0,
            free: VecDeque::with_capacity(clients),
            waits: vec![false; clients],
        }
    }

    /// A client could ask.
    pub(super) fn is_free(&mut self, client: usize) {
        if !std::mem::replace(&mut self.waits[client], true) {
            self.free.push_back(client);
        }
    }

    /// When the next request is due, if anybody could send it.
    pub(super) fn next(&self) -> Option<u64> {
        let due = self.begin + (self.asked as f64 * self.interval) as u64;
        (due < self.end && !self.free.is_empty()).then_some(due)
    }

    /// What is due by now, and somebody who was free last time.
    pub(super) fn due(&mut self, now: u64) -> Option<(u64, usize)> {
        let due = self.next().filter(|&due| due <= now)?;
        let client = self.free.pop_front()?;
        self.waits[client] = false;
        Some((due, client))
    }

    /// It has been sent.
    pub(super) fn has_asked(&mut self) {
        self.asked += 1;
    }

    /// So many were due, and nobody was free to send them.
    pub(super) fn unsent(&self) -> u64 {
        let all = (self.end - self.begin) as f64 / self.interval;
        (all.ceil() as u64).saturating_sub(self.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn what_is_late_is_due_since_it_should_have_been_sent() {
        let mut pace = Pace::new(1e9, 100, 104, 2);
        assert_eq!(pace.next(), None); // nobody could send it
        pace.is_free(1);
        pace.is_free(1);
        assert_eq!(pace.next(), Some(100));
        assert_eq!(pace.due(99), None);
        assert_eq!(pace.due(200), Some((100, 1)));
        pace.has_asked();
        assert_eq!(pace.due(200), None);
        pace.is_free(0);
        assert_eq!(pace.due(200), Some((101, 0)));
        pace.has_asked();
        pace.is_free(0);
        assert_eq!(pace.unsent(), 2); // those of 102 and 103
    }
}
