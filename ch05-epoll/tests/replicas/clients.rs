//! Clients that send requests all the time on keep-alive connections, and record every wrong
//! response.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use client_suite::timeout::timeout;

use super::NAMES;

/// A request and the content expected in its response; `None` expects the name of a replica.
pub(crate) type Exchange = (&'static str, Option<&'static str>);

pub(crate) const NAME: Exchange = ("GET /name.txt HTTP/1.1\r\nHost: x\r\n\r\n", None);

/// Requests that may be repeated. One of them takes 20 ms, so that a request is always in
/// flight.
pub(crate) const READING: &[Exchange] = &[
    NAME,
    ("GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n", Some("Hello, World!")),
    NAME,
    ("GET /sleep/20 HTTP/1.1\r\nHost: x\r\n\r\n", Some("slept 20 ms\n")),
];

/// Requests, of which one (the POST) must not be repeated.
pub(crate) const WRITING: &[Exchange] = &[
    NAME,
    ("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nonce", Some("once")),
];

/// The counts of responses and the failures that the clients share, and the flag that stops them.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    served: [AtomicUsize; NAMES.len()],
    failures: Mutex<Vec<String>>,
}

/// Running clients, each on its own thread.
pub(crate) struct Clients {
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(crate) fn start(
        to: SocketAddr,
        count: usize,
        what: &'static [Exchange],
    ) -> Clients {
        let tally = Arc::new(Tally::default());
        let threads = (0..count)
            .map(|_| {
                let tally = tally.clone();
                thread::spawn(move || tally.ask(to, what))
            })
            .collect();
        Clients { tally, threads }
    }

    /// Returns the number of responses to the request [`NAME`] from replica number `at`.
    pub(crate) fn served(&self, at: usize) -> usize {
        self.tally.served[at].load(SeqCst)
    }

    /// Returns the number of responses to the request [`NAME`] from all replicas.
    pub(crate) fn all(&self) -> usize {
        self.tally.served.iter().map(|count| count.load(SeqCst)).sum()
    }

    pub(crate) fn failures(&self) -> usize {
        self.tally.failures.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Stops the clients. Returns the failures, each with the number of times that it
    /// occurred.
    pub(crate) fn stop(self) -> Vec<String> {
        self.tally.stop.store(true, SeqCst);
        for thread in self.threads {
            thread.join().expect("a client that ends");
        }
        let failures = self.tally.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kinds = BTreeMap::new();
        for failure in failures.iter() {
            *kinds.entry(failure).or_insert(0) += 1;
        }
        kinds.iter().map(|(failure, times)| format!("{times} × {failure}")).collect()
    }
}

impl Tally {
    fn ask(&self, to: SocketAddr, what: &[Exchange]) {
        let mut connection = None;
        for (request, expected) in what.iter().cycle() {
            if self.stop.load(SeqCst) {
                return;
            }
            let came = exchange(to, &mut connection, request);
            let name = came.as_ref().ok().and_then(|content| {
                NAMES.iter().position(|name| name.as_bytes() == content)
            });
            match (came, expected, name) {
                (Ok(_), None, Some(at)) => {
                    self.served[at].fetch_add(1, SeqCst);
                }
                (Ok(content), Some(expected), _) if content == expected.as_bytes() => {}
                (came, ..) => {
                    connection = None;
                    let line = request.lines().next().unwrap_or_default();
                    let mut failures =
                        self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                    let came =
                        came.map(|content| String::from_utf8_lossy(&content).into());
                    failures.push(format!("{line}: {}", came.unwrap_or_else(|why| why)));
                }
            }
        }
    }
}

/// Sends one request and returns the content of a 200 response, or else a description of the
/// failure.
pub(crate) fn exchange(
    to: SocketAddr,
    connection: &mut Option<BufReader<TcpStream>>,
    request: &str,
) -> Result<Vec<u8>, String> {
    let said = |what: &'static str| move |error| format!("{what}: {error}");
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(to).map_err(said("connect"))?;
            stream.set_read_timeout(Some(timeout())).map_err(said("a deadline"))?;
            stream.set_nodelay(true).map_err(said("no delay"))?;
            connection.insert(BufReader::new(stream))
        }
    };
    stream.get_mut().write_all(request.as_bytes()).map_err(said("write"))?;
    let (mut status, mut length, mut last) = (String::new(), 0, false);
    stream.read_line(&mut status).map_err(said("read"))?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).map_err(said("read"))?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(number) = line.strip_prefix("content-length: ") {
            length = number.parse().map_err(|_| "no length".to_owned())?;
        }
        last |= line == "connection: close";
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).map_err(said("read"))?;
    if last {
        *connection = None;
    }
    match status.starts_with("HTTP/1.1 200 ") {
        true => Ok(content),
        false => Err(status.trim_end().to_owned()),
    }
}
