//! The application that every server of this book serves: a few routes that make waiting
//! visible, and files.
//!
//! [`Site::respond`] decides and never waits. An answer that must be sent later carries
//! a delay ([`Response::delay`]), and each server waits for that delay in its own way.
//!
//! ```
//! use ch01_blocking::Site;
//! use ch01_blocking::http::{Inbox, Limits, Parsed};
//! use std::time::Duration;
//!
//! let site = Site::new(None, Limits::default())?;
//! let mut inbox = Inbox::new();
//! inbox.receive(b"GET /sleep/20 HTTP/1.1\r\nHost: example\r\n\r\n");
//! let Parsed::Complete(request) = inbox.next(&site.limits) else { panic!() };
//! let response = site.respond(&request);
//! assert_eq!(response.delay, Some(Duration::from_millis(20)));
//! # std::io::Result::Ok(())
//! ```

use crate::app::files::Files;
use crate::app::guarded::Guarded;
use crate::app::methods::{READ_ONLY, allow};
use crate::app::stats::Stats;
use crate::http::{
    Body, Limits, Method, Request, Response, decimal, percent_signs_are_fine,
    reason_phrase,
};
use crate::server::sys;
use crate::server::trace::trace;
use crate::server::unwind;
use crate::server::usage::{Held, Usage};
use percent_encoding::percent_decode;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// The longest delay of the route `/sleep/N`, in milliseconds.
const LONGEST_SLEEP: u64 = 60_000;
/// The longest body of the route `/bytes/N`, in bytes.
const MOST_BYTES: u64 = 1 << 30;

/// The application: its routes, files, counters and limits.
#[derive(Debug)]
pub struct Site {
    /// The limits on the messages that clients send.
    pub limits: Limits,
    /// The counters that `/stats` shows.
    pub stats: &'static Stats,
    files: Option<Files>,
    more: Option<Box<dyn Routes>>,
    draining: AtomicBool,
    all_drain: &'static AtomicBool,
}

impl Site {
    /// Returns an application with the built-in routes and, if `root` is given, with
    /// the files below the directory `root`.
    ///
    /// # Errors
    ///
    /// Those of opening `root`, and of mapping memory that processes share.
    pub fn new(root: Option<&Path>, mut limits: Limits) -> io::Result<Site> {
        let files = root.map(Files::open).transpose()?;
        limits.buffered = limits.buffered.shared(sys::shared()?);
        Ok(Site {
            limits,
            stats: sys::shared()?,
            files,
            more: None,
            draining: AtomicBool::new(false),
            all_drain: sys::shared()?,
        })
    }

    /// Returns the application with `routes` in addition to its built-in ones.
    pub fn with(self, routes: Box<dyn Routes>) -> Site {
        Site { more: Some(routes), ..self }
    }

    /// From now on, every answer closes its connection.
    pub fn drain(&self) {
        self.draining.store(true, SeqCst);
    }

    /// From now on, every answer closes its connection, in this process and in all its
    /// children: also in a child that the stop signal has not reached yet.
    pub fn drain_all(&self) {
        self.all_drain.store(true, SeqCst);
    }

    /// Returns whether the server is stopping.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.draining.load(SeqCst) || self.all_drain.load(SeqCst)
    }

    /// Releases everything that a dead process still held according to its record
    /// `usage`: its connections are counted as closed, and its bytes return to the
    /// memory budget.
    pub fn reclaim(&self, usage: &Usage) {
        let Held { connections, bytes } = usage.take();
        for _ in 0..connections {
            self.stats.closed.add();
        }
        self.limits.buffered.give_back(bytes);
    }

    pub(crate) fn draining(&self) -> &AtomicBool {
        &self.draining
    }

    // ANCHOR: respond
    /// Answers a request. A panic of a route is answered 500 and costs this one
    /// connection, in every server, since every server calls this function.
    pub fn respond(&self, request: &Request<'_>) -> Response {
        trace!("request", "{} {}", request.method.name(), request.path.escape_ascii());
        // The routes hold no lock and leave nothing half done, so a panic breaks no
        // invariant.
        let mut response = unwind::catch(|| self.route(request)).unwrap_or_else(|_| {
            self.stats.panics.add();
            Response {
                close: true,
                ..Response::text(500, "the application failed; the server did not\n")
            }
        });
        if let Body::Live(stream) = response.body {
            let guarded = Guarded::new(stream, &self.stats.panics);
            response.body = Body::Live(Box::new(guarded));
        }
        self.stats.requests.add();
        trace!(
            "answer",
            "{} {}, {} bytes",
            response.status,
            reason_phrase(response.status),
            response.body.len()
        );
        response
    }
    // ANCHOR_END: respond

    fn more(&self, request: &Request<'_>) -> Option<Response> {
        self.more.as_ref()?.respond(request)
    }

    fn route(&self, request: &Request<'_>) -> Response {
        if request.method == Method::Other {
            return Response::text(501, "501 Not Implemented: an unknown method\n");
        }
        let path = request.path;
        match path {
            b"*" => allow(204, "GET, HEAD, POST, OPTIONS"),
            b"/plaintext" => read_only(request, || {
                Response::content(200, "text/plain", Body::Static(b"Hello, World!"))
            }),
            b"/echo" => match request.method {
                Method::Post => bytes(Body::Bytes(request.body.to_vec())),
                Method::Options => allow(204, "POST, OPTIONS"),
                _ => allow(405, "POST, OPTIONS"),
            },
            b"/stats" => read_only(request, || {
                let json = self.stats.json().into_bytes();
                Response::content(200, "application/json", Body::Bytes(json))
            }),
            b"/panic" => read_only(request, || panic!("/panic was asked for")),
            _ => {
                if let Some(number) = path.strip_prefix(b"/sleep/") {
                    read_only(request, || {
                        with_number(number, LONGEST_SLEEP, |ms| Response {
                            delay: Some(Duration::from_millis(ms)),
                            ..Response::text(200, format!("slept {ms} ms\n"))
                        })
                    })
                } else if let Some(number) = path.strip_prefix(b"/bytes/") {
                    read_only(request, || {
                        with_number(number, MOST_BYTES, |n| bytes(Body::Pattern(n)))
                    })
                } else if let Some(path) = normalized(path) {
                    let mut request = *request;
                    request.path = &path;
                    self.route(&request)
                } else if let Some(response) = self.more(request) {
                    response
                } else if let Some(files) = &self.files {
                    files.respond(request)
                } else {
                    Response::text(
                        404,
                        "404 Not Found: no such route, and no files (start with --root DIR)\n",
                    )
                }
            }
        }
    }
}

/// Routes in addition to the built-in routes that every server of the book has.
pub trait Routes: fmt::Debug + Send + Sync {
    /// Answers a request, or returns `None` if the path belongs to none of these
    /// routes. This function must not wait.
    fn respond(&self, request: &Request<'_>) -> Option<Response>;
}

/// Decodes the characters of a path that need not have been encoded, so that
/// `/%70laintext` is `/plaintext` (RFC 3986 section 6.2.2.2). Returns `None` if the
/// path has no such character, or if it is malformed: a percent sign without two
/// hexadecimal digits could become valid by decoding what follows it.
fn normalized(path: &[u8]) -> Option<Vec<u8>> {
    if !path.contains(&b'%') || !percent_signs_are_fine(path) {
        return None;
    }
    let mut parts = path.split(|&byte| byte == b'%');
    let mut normalized = parts.next()?.to_vec();
    for part in parts {
        let byte = percent_decode(&[b'%', part[0], part[1]]).next()?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            normalized.push(byte);
            normalized.extend_from_slice(&part[2..]);
        } else {
            normalized.push(b'%');
            normalized.extend_from_slice(part);
        }
    }
    (normalized != path).then_some(normalized)
}

/// Answers a request for a read-only resource; `answer` returns the answer to GET and HEAD.
fn read_only(request: &Request<'_>, answer: impl FnOnce() -> Response) -> Response {
    match request.method {
        Method::Get | Method::Head => answer(),
        Method::Options => allow(204, READ_ONLY),
        _ => allow(405, READ_ONLY),
    }
}

fn bytes(body: Body) -> Response {
    Response::content(200, "application/octet-stream", body)
}

/// Answers a request whose path ends with `text`, a number from 0 to `most`; any other
/// `text` is answered 400.
fn with_number(text: &[u8], most: u64, answer: impl FnOnce(u64) -> Response) -> Response {
    match decimal(text) {
        Some(number) if number <= most => answer(number),
        _ => Response::text(
            400,
            format!("400 Bad Request: a number from 0 to {most} is missing\n"),
        ),
    }
}
