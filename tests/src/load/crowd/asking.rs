//! The crowd's asking: who connects, who sends what, and when.

use std::io;

use super::super::connection::Number;
use super::super::tally::Fault;
use super::Crowd;

impl Crowd<'_> {
    /// Connects one and has it ask, once.
    pub(in super::super) fn begin(&mut self, place: usize) -> io::Result<()> {
        let now = self.now();
        self.open(place, 1, now, now)
    }

    /// Has one that is held ask once more, if it is still there.
    pub(in super::super) fn again(&mut self, place: usize) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[place];
        connection.served = false;
        if connection.is_open() {
            connection.ask(now, now, self.requests.of(place).1);
            self.under_way += 1;
            self.send(place)?;
        }
        Ok(())
    }

    /// From now on everybody asks, all the time or as it is due.
    pub(in super::super) fn start_asking(&mut self) -> io::Result<()> {
        self.asking = true;
        for place in 0..self.plan.connections {
            let now = self.now();
            self.carry_on(place, now)?;
        }
        Ok(())
    }

    /// From now on nobody does; what is under way remains so. In the open loop: how many were
    /// due, and nobody was free to send them.
    pub(in super::super) fn stop_asking(&mut self) -> io::Result<u64> {
        self.ask_what_is_due()?; // if it is only we who are late
        self.asking = false;
        Ok(self.pace.take().map_or(0, |pace| pace.unsent()))
    }

    /// Has a client do what it has to do next.
    #[inline]
    pub(super) fn carry_on(&mut self, place: usize, now: u64) -> io::Result<()> {
        if !self.asking || place >= self.plan.connections {
            return Ok(());
        }
        let open = self.connections[place].is_open();
        if self.pace.is_some() {
            if !open && self.plan.keep_alive {
                self.open(place, 0, now, now)?;
            }
            if let Some(pace) = &mut self.pace {
                pace.is_free(place);
            }
            return Ok(());
        }
        let depth = self.plan.depth();
        if !open {
            return self.open(place, depth, now, now);
        }
        for _ in self.connections[place].under_way()..depth {
            self.connections[place].ask(now, now, self.requests.length);
            self.under_way += 1;
        }
        self.send(place)
    }

    /// In the open loop: sends what should have been sent by now, as long as somebody is free
    /// to do so. What is late counts from when it was due.
    pub(super) fn ask_what_is_due(&mut self) -> io::Result<()> {
        loop {
            let now = self.now();
            let Some(pace) = &mut self.pace else { return Ok(()) };
            let Some((due, place)) = pace.due(now) else { return Ok(()) };
            let connection = &mut self.connections[place];
            if !self.plan.keep_alive && !connection.is_open() {
                pace.has_asked();
                self.open(place, 1, due, now)?;
            } else if connection.is_open() && connection.under_way() < self.plan.depth() {
                pace.has_asked();
                connection.ask(due, now, self.requests.length);
                self.under_way += 1;
                if connection.under_way() < self.plan.depth() {
                    pace.is_free(place);
                }
                self.send(place)?;
            } // or it was free once, and has lost its connection since
        }
    }

    /// Connects a client, and has it ask so many times, as if at `when`.
    fn open(&mut self, place: usize, asks: usize, when: u64, now: u64) -> io::Result<()> {
        let stays = self.plan.keep_alive || place >= self.plan.connections;
        self.number += 1;
        let number =
            if stays { Number::Staying(place) } else { Number::Passing(self.number) };
        let connection = &mut self.connections[place];
        if connection.open(self.plan.address, number).is_err() {
            return self.fail(place, Some(Fault::Connect));
        }
        let (requests, length) = self.requests.of(place);
        for _ in 0..asks {
            connection.ask(when, now, length);
            self.under_way += 1;
        }
        // Over the loopback it is connected by now, most of the time.
        if connection.send(requests, length).is_err() {
            return self.fail(place, Some(Fault::Connect));
        }
        connection.watched_for_writing = connection.wants_to_write();
        match connection.watched() {
            Some((socket, write)) => self.waiter.add(socket, place, write),
            None => Ok(()),
        }
    }

    /// Sends what is to be sent; if that would have to wait, it is watched for.
    #[inline]
    pub(super) fn send(&mut self, place: usize) -> io::Result<()> {
        let (requests, length) = self.requests.of(place);
        let connection = &mut self.connections[place];
        if connection.send(requests, length).and_then(|()| connection.look()).is_err() {
            return self.fail(place, Some(Fault::Connect));
        }
        let write = connection.wants_to_write();
        if write != connection.watched_for_writing {
            connection.watched_for_writing = write;
            if let Some((socket, write)) = connection.watched() {
                self.waiter.change(socket, place, write)?;
            }
        }
        Ok(())
    }
}
