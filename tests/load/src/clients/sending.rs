//! Sending: how clients connect and send requests.

use std::io;

use super::super::connection::Number;
use super::super::stats::Failure;
use super::Clients;

impl Clients<'_> {
    /// Connects a client and sends one request.
    pub(in super::super) fn connect_and_send(&mut self, index: usize) -> io::Result<()> {
        let now = self.now();
        self.open(index, 1, now, now)
    }

    /// Sends one more request on a connection that has been idle, if the connection is still open.
    pub(in super::super) fn send_again(&mut self, index: usize) -> io::Result<()> {
        let now = self.now();
        let connection = &mut self.connections[index];
        connection.served = false;
        if connection.is_open() {
            connection.push_request(now, now, self.requests.of(index).1);
            self.in_flight += 1;
            self.send(index)?;
        }
        Ok(())
    }

    /// Lets all clients send: continuously (closed loop), or by the schedule (open loop).
    pub(in super::super) fn start_sending(&mut self) -> io::Result<()> {
        self.sending = true;
        for index in 0..self.plan.connections {
            let now = self.now();
            self.proceed(index, now)?;
        }
        Ok(())
    }

    /// Stops sending; requests in flight stay in flight. Returns the number of requests that were
    /// due but for which no client was free (open loop only).
    pub(in super::super) fn stop_sending(&mut self) -> io::Result<u64> {
        self.send_due()?; // sends the requests that became due since the last call
        self.sending = false;
        Ok(self.schedule.take().map_or(0, |schedule| schedule.unsent()))
    }

    /// Lets a client take its next step: to connect, to send, or to wait until the schedule has a
    /// request for it.
    #[inline]
    pub(super) fn proceed(&mut self, index: usize, now: u64) -> io::Result<()> {
        if !self.sending || index >= self.plan.connections {
            return Ok(());
        }
        let open = self.connections[index].is_open();
        if self.schedule.is_some() {
            if !open && self.plan.keep_alive {
                self.open(index, 0, now, now)?;
            }
            if let Some(schedule) = &mut self.schedule {
                schedule.mark_free(index);
            }
            return Ok(());
        }
        let depth = self.plan.depth();
        if !open {
            return self.open(index, depth, now, now);
        }
        for _ in self.connections[index].in_flight()..depth {
            self.connections[index].push_request(now, now, self.requests.length);
            self.in_flight += 1;
        }
        self.send(index)
    }

    /// Open loop: sends every request that is due, as long as a client is free. The latency of a
    /// late request is measured from the time at which it was due.
    pub(super) fn send_due(&mut self) -> io::Result<()> {
        loop {
            let now = self.now();
            let Some(schedule) = &mut self.schedule else { return Ok(()) };
            let Some((due, index)) = schedule.due(now) else { return Ok(()) };
            let connection = &mut self.connections[index];
            if !self.plan.keep_alive && !connection.is_open() {
                schedule.mark_sent();
                self.open(index, 1, due, now)?;
            } else if connection.is_open() && connection.in_flight() < self.plan.depth() {
                schedule.mark_sent();
                connection.push_request(due, now, self.requests.length);
                self.in_flight += 1;
                if connection.in_flight() < self.plan.depth() {
                    schedule.mark_free(index);
                }
                self.send(index)?;
            } // a free client that has lost its connection is skipped; the request stays due
        }
    }

    /// Connects a client at the time `now`, and queues `asks` requests, which count as sent at the
    /// time `when`. Both times are in nanoseconds since the start.
    fn open(&mut self, index: usize, asks: usize, when: u64, now: u64) -> io::Result<()> {
        let stays = self.plan.keep_alive || index >= self.plan.connections;
        self.opened += 1;
        let number =
            if stays { Number::Kept(index) } else { Number::OneShot(self.opened) };
        let connection = &mut self.connections[index];
        if connection.open(self.plan.address, number).is_err() {
            return self.disconnect(index, Some(Failure::Connect));
        }
        let (requests, length) = self.requests.of(index);
        for _ in 0..asks {
            connection.push_request(when, now, length);
            self.in_flight += 1;
        }
        // Over loopback the connection is usually established by now, so the requests can be sent
        // at once.
        if connection.send(requests, length).is_err() {
            return self.disconnect(index, Some(Failure::Connect));
        }
        connection.watched_for_writing = connection.wants_to_write();
        match connection.watched() {
            Some((socket, write)) => self.poller.add(socket, index, write),
            None => Ok(()),
        }
    }

    /// Sends the queued requests, and watches for writability if the socket is full.
    #[inline]
    pub(super) fn send(&mut self, index: usize) -> io::Result<()> {
        let (requests, length) = self.requests.of(index);
        let connection = &mut self.connections[index];
        if connection
            .send(requests, length)
            .and_then(|()| connection.check_connected())
            .is_err()
        {
            return self.disconnect(index, Some(Failure::Connect));
        }
        let write = connection.wants_to_write();
        if write != connection.watched_for_writing {
            connection.watched_for_writing = write;
            if let Some((socket, write)) = connection.watched() {
                self.poller.change(socket, index, write)?;
            }
        }
        Ok(())
    }
}
