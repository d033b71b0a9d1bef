//! One client that takes, or gives, as fast as the machine can; beside it another with a
//! small request. How long that waits is measured in what the greedy one moves meanwhile:
//! a server that shares its time lets it move a share or two, one that does not lets it
//! go on for ever.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::{Client, Seen};
use crate::ctx::{Ctx, get, request};
use crate::patience::patience;
use crate::verdict::{Stop, Verdict, demand};

/// So often the other asks.
const ROUNDS: usize = 20;
/// The greedy one is under way.
const BEGUN: u64 = 1 << 20;

/// A client at work in threads of its own, without a pause.
struct Greedy {
    client: Client,
    moved: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Greedy {
    fn new(client: Client) -> Self {
        Self { client, moved: Arc::default(), threads: Vec::new() }
    }

    /// Does it with the connection again and again, until there is no more to do. What it
    /// moves counts if it `counts`.
    fn busy(
        &mut self,
        counts: bool,
        mut act: impl FnMut(&mut TcpStream) -> std::io::Result<usize> + Send + 'static,
    ) -> Verdict {
        let stream = self.client.stream.try_clone();
        let mut stream =
            stream.map_err(|error| Stop::skip(format!("dup(2): {error}")))?;
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

    /// Reads whatever comes.
    fn reads(&mut self, counts: bool) -> Verdict {
        let mut buffer = vec![0; 1 << 18];
        self.busy(counts, move |stream| stream.read(&mut buffer))
    }

    /// Sends the same again and again.
    fn sends(&mut self, bytes: Vec<u8>) -> Verdict {
        self.busy(true, move |stream| stream.write_all(&bytes).map(|()| bytes.len()))
    }

    /// Whether there is more to do.
    fn is_at_it(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    fn moved(&self) -> u64 {
        self.moved.load(SeqCst)
    }
}

impl Drop for Greedy {
    fn drop(&mut self) {
        let _ = self.client.stream.shutdown(Shutdown::Both); // wakes the threads
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The other one's requests are answered, each before the greedy one has moved so much.
fn others_are_served(ctx: &mut Ctx<'_>, greedy: &Greedy, too_much: u64) -> Verdict {
    ctx.until("the greedy one is under way", |_| {
        let moved = greedy.moved();
        Ok(if moved >= BEGUN { Ok(()) } else { Err(format!("{moved} bytes")) })
    })?;
    let mut other = ctx.client()?;
    let (name, greedy_name) = (other.name().to_owned(), greedy.client.name());
    for _ in 0..ROUNDS {
        other.send(get("/plaintext"))?;
        let (before, start) = (greedy.moved(), Instant::now());
        let heard = loop {
            let moved = greedy.moved() - before;
            // Looked at after that: if we were kept, the answer is there all the same.
            if other.look(Duration::from_millis(10)) != Seen::Nothing {
                break true;
            }
            if moved >= too_much || start.elapsed() >= patience() {
                break false;
            }
        };
        demand(
            heard,
            format!("an answer for {name}, who asks for little"),
            format!("more and more for {greedy_name}, and nothing for {name}"),
        )?;
        other.response()?.is(200)?.holds("Hello, World!")?;
    }
    demand(
        greedy.is_at_it(),
        format!("{greedy_name} is served all the while"),
        "it is not served any more",
    )
}

pub(super) const CASES: &[Case] = &[
    case(
        "fast_reader",
        Security,
        "CWE-400; write(2)",
        "A client that takes gigabytes as fast as they come does not keep another waiting",
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
        "A client that sends content as fast as it is taken, without end, does not keep another waiting",
        |ctx| {
            let mut greedy = Greedy::new(ctx.client()?);
            let mut upload = request("GET", "/plaintext", "Content-Length: 60000\r\n");
            greedy.client.note("sends this and 60000 bytes of content, again and again:");
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
