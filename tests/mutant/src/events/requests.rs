//! Parsing requests and queuing responses for the event loop.

use std::time::Instant;

use super::client::{Client, Phase};
use crate::answer::{self, Body, HttpError, Response, ResponseContext};
use crate::connection::{count_response, refused, respond};
use crate::content;
use crate::framing::Framing;
use crate::head;
use crate::mutations::Mutation;
use crate::server::{Reservation, Server};
use crate::site;
use crate::switch::wrong;
use crate::wire::{End, Wire};

impl Client {
    pub(super) fn head_end(&self) -> Option<usize> {
        self.input.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
    }

    /// Responds to the next request if the request is complete or cannot be valid. Returns whether
    /// a response was made.
    pub(super) fn answer(&mut self, server: &Server) -> bool {
        if self.head_end().is_none() {
            let too_large = self.input.len() > server.options.max_head;
            if too_large {
                self.refuse(431, "the head is too large", server);
            }
            return too_large;
        }
        let mut wire = Wire::new(&self.stream, server);
        wire.input = self.input.clone();
        let mut head_only = false;
        let mut reserved = Reservation::new(server);
        let answered = head::read(&mut wire, server, &mut head_only).and_then(|head| {
            let come = wire.input.len() as u64;
            match head.framing {
                Framing::Chunked => Err(End::Refused(HttpError::closing(
                    501,
                    "the event-driven mutant does not decode chunks",
                ))),
                Framing::Length(n) if n > come && n <= server.options.max_body => {
                    Ok(None)
                }
                Framing::Length(_) => {
                    let content = content::read(&mut wire, &head, server, &mut reserved)?;
                    let slow =
                        server.options.file_threads.is_some() && site::is_file(&head);
                    if slow && !wrong(Mutation::FilesOnTheLoop) {
                        self.job = Some((head, content));
                        self.waits_for_helper = true;
                        return Ok(None);
                    }
                    respond(&head, content, server).map(Some)
                }
            }
        });
        let (response, context) = match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                if self.job.is_some() {
                    self.input = std::mem::take(&mut wire.input);
                }
                return self.job.is_some();
            }
            Err(End::Refused(error)) => refused(error, head_only),
            Err(_) => return false,
        };
        self.input = std::mem::take(&mut wire.input);
        count_response(&response, server);
        if !wrong(Mutation::EventsStaleDeadline) {
            self.phase = Phase::Idle; // the next request gets its own deadline
            self.deadline = Instant::now() + server.options.idle_timeout;
        }
        if response.delay.is_zero() {
            self.push(response, context);
        } else if wrong(Mutation::EventsBlocksInTask) {
            std::thread::sleep(response.delay);
            self.push(response, context);
        } else {
            self.sleeping = Some((Instant::now() + response.delay, response, context));
        }
        true
    }

    /// Queues the response that a helper thread has made for this connection. Returns whether the
    /// connection stays open.
    pub(super) fn helped(
        &mut self,
        answer: Option<(Response, ResponseContext)>,
        server: &Server,
    ) -> bool {
        self.waits_for_helper = false;
        let Some((response, context)) = answer else { return false };
        count_response(&response, server);
        self.phase = Phase::Idle;
        self.deadline = Instant::now() + server.options.idle_timeout;
        self.push(response, context);
        true
    }

    pub(super) fn refuse(&mut self, status: u16, why: &'static str, server: &Server) {
        let (response, context) = refused(HttpError::closing(status, why), false);
        count_response(&response, server);
        self.push(response, context);
    }

    pub(super) fn push(&mut self, response: Response, context: ResponseContext) {
        self.last |= context.close;
        self.output.extend(answer::head(&response, context));
        if context.head_only || matches!(response.status, 204 | 304) {
            return;
        }
        match response.body {
            Body::None => {}
            Body::Bytes(bytes) => self.output.extend(bytes),
            Body::Pattern(length) => self.pattern = length,
            Body::File { file, at, len } => {
                let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
                let read =
                    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, at);
                self.last |= read.is_err();
                self.output.extend(bytes);
            }
        }
    }
}
