//! Samples of `lab request`: the processor time that a request takes in user space, without any
//! system call.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, bail};
use ch01_blocking::app::site::Site;
use ch01_blocking::http::{
    HttpDate, Inbox, Limits, Method, Outbox, Parsed, ResponseContext, Version,
};
use ch01_blocking::stream::Transport;

/// The least processor time of a sample, which repeats a burst of requests until this time has
/// passed.
const ENOUGH: Duration = Duration::from_millis(100);

const HEAD: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
const ASKED: ResponseContext =
    ResponseContext { method: Method::Get, version: Version::Http11, keep_alive: true };

/// A transport that discards all bytes written to it.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Sink {
    fn fill(&mut self, _: &mut Inbox) -> io::Result<usize> {
        Ok(0)
    }

    fn send_file(&mut self, _: &File, _: u64, len: u64) -> io::Result<usize> {
        Ok(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unacked_bytes(&self) -> usize {
        0
    }
}

/// Takes one sample of the kind `kind` in this process. Returns the nanoseconds of processor time
/// per request, in bursts of `burst` requests.
pub(crate) fn sample(kind: &str, burst: usize) -> Result<f64> {
    let site = Site::new(None, Limits::default())?;
    let bytes = HEAD.repeat(burst);
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new(site.limits.output));
    let now = HttpDate::now();
    match kind {
        "all" => repeat(burst, || {
            inbox.receive(&bytes);
            while let Parsed::Complete(request) = inbox.next(&site.limits) {
                outbox.push(site.respond(&request), request.response_context(), &|| now);
            }
            Ok(outbox.flush(&mut Sink)?)
        }),
        "read" => repeat(burst, || {
            inbox.receive(&bytes);
            while let Parsed::Complete(request) = inbox.next(&site.limits) {
                black_box(&request);
            }
            Ok(())
        }),
        "decide" | "write" => {
            inbox.receive(HEAD);
            let Parsed::Complete(request) = inbox.next(&site.limits) else {
                bail!("no request")
            };
            if kind == "decide" {
                return repeat(burst, || {
                    for _ in 0..burst {
                        black_box(site.respond(black_box(&request)));
                    }
                    Ok(())
                });
            }
            // An answer can be written only once, so the measured code also makes each answer, and
            // the figure includes the time for that.
            let mut answers = Vec::new();
            repeat(burst, || {
                answers.extend((0..burst).map(|_| site.respond(&request)));
                for answer in answers.drain(..) {
                    outbox.push(answer, ASKED, &|| now);
                }
                Ok(outbox.flush(&mut Sink)?)
            })
        }
        "httparse" => repeat(burst, || {
            for _ in 0..burst {
                let mut fields = [httparse::EMPTY_HEADER; 16];
                let mut request = httparse::Request::new(&mut fields);
                black_box(request.parse(black_box(HEAD))?);
                black_box(&request);
            }
            Ok(())
        }),
        "format" => lines(burst, |bytes, Answer { status, phrase, length, kind }| {
            write!(bytes, "HTTP/1.1 {status} {phrase}\r\n")?;
            write!(bytes, "Content-Length: {length}\r\n")?;
            write!(bytes, "Content-Type: {kind}; charset=utf-8\r\n")
        }),
        "pieces" => lines(burst, |bytes, Answer { status, phrase, length, kind }| {
            let mut digits = itoa::Buffer::new();
            let mut put = |piece: &str| bytes.extend_from_slice(piece.as_bytes());
            put("HTTP/1.1 ");
            put(digits.format(status));
            put(" ");
            put(phrase);
            put("\r\nContent-Length: ");
            put(digits.format(length));
            put("\r\nContent-Type: ");
            put(kind);
            put("; charset=utf-8\r\n");
            Ok(())
        }),
        "move-240" => repeat(burst, || {
            (0..burst).for_each(hand_on::<30>);
            Ok(())
        }),
        "move-120" => repeat(burst, || {
            (0..burst).for_each(hand_on::<15>);
            Ok(())
        }),
        _ => bail!("no part of a request is called {kind}"),
    }
}

/// The variable parts of a response's head.
#[derive(Clone, Copy)]
struct Answer {
    status: u16,
    phrase: &'static str,
    length: u64,
    kind: &'static str,
}

/// Measures `head`, a function that writes the lines of a head into a buffer. The buffer is
/// allocated before the measurement.
fn lines(burst: usize, head: fn(&mut Vec<u8>, Answer) -> io::Result<()>) -> Result<f64> {
    let answer = Answer { status: 200, phrase: "OK", length: 13, kind: "text/plain" };
    let mut bytes = Vec::with_capacity(256);
    repeat(burst, || {
        for _ in 0..burst {
            bytes.clear();
            head(&mut bytes, black_box(answer))?;
            black_box(&bytes);
        }
        Ok(())
    })
}

/// Fills an array of `N` machine words, one word at a time, and then moves the whole array twice.
/// (The array stands for an answer.)
fn hand_on<const N: usize>(status: usize) {
    #[inline(never)]
    fn make<const N: usize>(status: usize) -> [usize; N] {
        let mut answer = [0; N];
        for word in &mut answer {
            *word = black_box(status);
        }
        answer
    }
    #[inline(never)]
    fn pass<const N: usize>(status: usize) -> Option<[usize; N]> {
        (status < usize::MAX).then(|| make(status))
    }
    black_box(pass::<N>(status).map(|answer| (status, answer)));
}

/// Calls `burst` again and again, and returns the nanoseconds of processor time for each of the
/// `each` requests in one call.
fn repeat(each: usize, mut burst: impl FnMut() -> Result<()>) -> Result<f64> {
    let bursts = |bursts| (0..bursts).try_for_each(|_| burst());
    let taken = crate::repeat(1_024, ENOUGH, bursts)?;
    Ok(taken.cpu * 1e9 / each as f64)
}
