//! What a client of the events asks, and what it is answered.

use std::time::Instant;

use super::client::{Client, Phase};
use crate::answer::{self, Body, Dress, Refusal, Response};
use crate::connection::{refused, respond, tally};
use crate::content;
use crate::framing::Framing;
use crate::head;
use crate::mutations::Mutation;
use crate::server::{Held, Server};
use crate::switch::wrong;
use crate::wire::{Ending, Wire};

impl Client {
    pub(super) fn head_end(&self) -> Option<usize> {
        self.input.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
    }

    /// Answers the next request, if all of it has come.
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
        let mut held = Held::new(server);
        let answered = head::read(&mut wire, server, &mut head_only).and_then(|head| {
            let come = wire.input.len() as u64;
            match head.framing {
                Framing::Chunked => Err(Ending::Refused(Refusal::closing(
                    501,
                    "only the threads understand chunks",
                ))),
                Framing::Length(n) if n > come && n <= server.options.max_body => {
                    Ok(None)
                }
                Framing::Length(_) => {
                    let content = content::read(&mut wire, &head, server, &mut held)?;
                    respond(&head, content, server).map(Some)
                }
            }
        });
        let (response, dress) = match answered {
            Ok(Some(answer)) => answer,
            Ok(None) => return false,
            Err(Ending::Refused(refusal)) => refused(refusal, head_only),
            Err(_) => return false,
        };
        self.input = std::mem::take(&mut wire.input);
        tally(&response, server);
        if !wrong(Mutation::EventsStaleDeadline) {
            self.phase = Phase::Idle; // the next request has its own time
            self.deadline = Instant::now() + server.options.idle_timeout;
        }
        if response.delay.is_zero() {
            self.push(response, dress);
        } else if wrong(Mutation::EventsBlocksInTask) {
            std::thread::sleep(response.delay);
            self.push(response, dress);
        } else {
            self.sleeping = Some((Instant::now() + response.delay, response, dress));
        }
        true
    }

    pub(super) fn refuse(&mut self, status: u16, why: &'static str, server: &Server) {
        let (response, dress) = refused(Refusal::closing(status, why), false);
        tally(&response, server);
        self.push(response, dress);
    }

    pub(super) fn push(&mut self, response: Response, dress: Dress) {
        self.last |= dress.close;
        self.output.extend(answer::head(&response, dress));
        if dress.head_only || matches!(response.status, 204 | 304) {
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
