//! A body stream whose destructor cannot panic.
//!
//! The stream is the application's code, and a server drops it wherever the connection
//! ends: in an event loop, or while a coroutine's stack is being unwound, where a
//! second panic aborts the process. So the wrapper catches a panic in the stream's
//! destructor at once.

use crate::app::stats::Counter;
use crate::http::{BodyStream, NextPiece};
use crate::server::unwind;
use std::task::Waker;
use std::time::Duration;

/// The application's body stream, in a wrapper that catches panics in its destructor.
pub(crate) struct Guarded {
    /// The wrapped stream; `None` only while the wrapper is being dropped.
    stream: Option<Box<dyn BodyStream>>,
    panics: &'static Counter,
}

impl Guarded {
    /// Wraps `stream`. A panic in its destructor is counted in `panics`.
    pub(crate) fn new(stream: Box<dyn BodyStream>, panics: &'static Counter) -> Guarded {
        Guarded { stream: Some(stream), panics }
    }
}

impl BodyStream for Guarded {
    fn more(&mut self, waker: &Waker, content: &mut Vec<u8>) -> NextPiece {
        match &mut self.stream {
            Some(stream) => stream.more(waker, content),
            None => NextPiece::End,
        }
    }

    fn heartbeat(&self) -> &'static [u8] {
        self.stream.as_ref().map_or(b"", |stream| stream.heartbeat())
    }

    fn heartbeat_interval(&self) -> Duration {
        self.stream.as_ref().map_or(Duration::MAX, |stream| stream.heartbeat_interval())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let stream = self.stream.take();
        if unwind::catch(|| drop(stream)).is_err() {
            self.panics.add();
        }
    }
}
