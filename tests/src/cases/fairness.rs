//! Fairness: a greedy client reads or sends as fast as the machine allows, while another client
//! sends small requests.
//!
//! The waiting time of the client with small requests is measured in the bytes that the greedy
//! client moves meanwhile. With a fair server, this number is once or twice the largest number of
//! bytes that the server reads or writes on one connection before it serves another; with an unfair
//! server, it has no bound.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::{Client, Peek};
use crate::ctx::{Ctx, get, request};
use crate::timeout::timeout;
use crate::verdict::{Abort, Verdict, ensure};

/// Number of requests sent by the client whose requests are small. An unfair server answers a few,
/// when the greedy client is late by chance.
const ROUNDS: usize = 120;
/// Bytes that the greedy client must have moved before the client with small requests starts.
const BEGUN: u64 = 1 << 20;

/// A client whose threads read or send without a pause.
struct Greedy {
    client: Client,
    moved: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Greedy {
    fn new(client: Client) -> Self {
        Self { client, moved: Arc::default(), threads: Vec::new() }
    }

    /// Starts a thread that repeats `act` on the connection until `act` returns 0 or fails. The
    /// bytes moved, which `act` returns, are counted if `counts` is set.
    fn busy(
        &mut self,
        counts: bool,
        mut act: impl FnMut(&mut TcpStream) -> std::io::Result<usize> + Send + 'static,
    ) -> Verdict {
        let stream = self.client.stream.try_clone();
        let mut stream =
            stream.map_err(|error| Abort::skip(format!("dup(2): {error}")))?;
        let moved = Arc::clone(&self.moved);
        self.threads.push(thread::spawn(move || {
            while let Ok(n @ 1..) = act(&mut stream) {
                if counts {
                    moved.fetch_add(n as u64, SeqCst);
                }
            }
        }));
        Ok(())
    }

    /// Starts a thread that reads without a pause. The bytes read are counted if `counts` is set.
    fn reads(&mut self, counts: bool) -> Verdict {
        let mut buffer = vec![0; 1 << 18];
        self.busy(counts, move |stream| stream.read(&mut buffer))
    }

    /// Starts a thread that sends `bytes` again and again.
    fn sends(&mut self, bytes: Vec<u8>) -> Verdict {
        self.busy(true, move |stream| stream.write_all(&bytes).map(|()| bytes.len()))
    }

    /// Returns whether all threads of the greedy client are still running.
    fn is_at_it(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    fn moved(&self) -> u64 {
        self.moved.load(SeqCst)
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        let _ = self.client.stream.shutdown(Shutdown::Both); // the shutdown unblocks the threads
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asserts that each request of another client, which sends small requests, is answered before the
/// greedy client has moved `too_much` bytes.
fn others_are_served(ctx: &mut Ctx<'_>, greedy: &Greedy, too_much: u64) -> Verdict {
    ctx.poll_until("the greedy client has started", |_| {
        let moved = greedy.moved();
        Ok(if moved >= BEGUN { Ok(()) } else { Err(format!("{moved} bytes")) })
    })?;
    let mut other = ctx.client()?;
    let (name, greedy_name) = (other.name().to_owned(), greedy.client.name());
    for _ in 0..ROUNDS {
        other.send(get("/plaintext"))?;
        let (before, start) = (greedy.moved(), Instant::now());
        let answered = loop {
            let moved = greedy.moved() - before;
            // Check for the response only after reading the counter. If this thread is preempted
            // between the two steps, the response still has time to arrive, so a busy machine does
            // not fail the case.
            if other.peek(Duration::from_millis(10)) != Peek::Nothing {
                break true;
            }
            if moved >= too_much || start.elapsed() >= timeout() {
                break false;
            }
        };
        ensure(
            answered,
            format!("a response for {name}, which sends small requests"),
            format!("only {greedy_name} is served, and {name} gets nothing"),
        )?;
        other.response()?.is(200)?.has_content("Hello, World!")?;
    }
    ensure(
        greedy.is_at_it(),
        format!("{greedy_name} is served all the time"),
        "its connection has stopped",
    )
}

pub(super) const CASES: &[Case] = &[
    case(
        "fast_reader",
        Security,
        "CWE-400; write(2)",
        "A client that reads gigabytes as fast as it can does not starve another client",
        |ctx| {
            let mut greedy = Greedy::new(ctx.client()?);
            greedy.client.send(get("/bytes/1073741824").repeat(64))?;
            greedy.client.note("reads as fast as it can");
            greedy.reads(true)?;
            others_are_served(ctx, &greedy, 1 << 29)
        },
    )
    .needs(&[Need::Plaintext, Need::Bytes, Need::Many]),
    case(
        "endless_upload",
        Security,
        "CWE-400; read(2)",
        "A client that sends content as fast as it can, without end, does not starve another client",
        |ctx| {
            let mut greedy = Greedy::new(ctx.client()?);
            let mut upload = request("GET", "/plaintext", "Content-Length: 60000\r\n");
            greedy.client.note("sends this and 60000 bytes of content repeatedly:");
            greedy.client.send(&upload)?;
            greedy.client.send([b'x'; 60_000])?;
            upload.extend([b'x'; 60_000]);
            greedy.reads(false)?;
            greedy.sends(upload)?;
            others_are_served(ctx, &greedy, 1 << 26)
        },
    )
    .needs(&[Need::Plaintext, Need::Many]),
];
