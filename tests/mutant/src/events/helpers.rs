//! Threads that open and read files for the event loop, with `--file-threads`: `open(2)` and
//! `read(2)` of a file on a slow disk block, and O_NONBLOCK does not help.
//!
//! A request goes to these helper threads through a channel, and its response comes back through
//! another; a byte in a socket pair wakes the loop.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::answer::{Body, Response, ResponseContext};
use crate::connection::respond;
use crate::head::Head;
use crate::listener::STACK;
use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// A job: a request that a helper thread is to answer, and the token of the request's connection.
pub(super) struct Job {
    pub(super) token: u64,
    pub(super) head: Head,
    pub(super) content: Vec<u8>,
}

/// A finished job: the token of the request's connection, and the response, which is `None` if the
/// connection is to be closed without a response.
pub(super) struct Done {
    pub(super) token: u64,
    pub(super) answer: Option<(Response, ResponseContext)>,
}

/// The event loop's side of the helper threads: the channel for their jobs, the channel for their
/// responses, and the socket by which they wake the loop.
pub(super) struct Helpers {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    wakeups: UnixStream,
}

impl Helpers {
    pub(super) fn start(server: &Arc<Server>, count: usize) -> io::Result<Self> {
        let (jobs, requests) = channel();
        let (responses, done) = channel();
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?; // a full socket means that the loop will be woken anyway
        let (requests, waker) = (Arc::new(Mutex::new(requests)), Arc::new(waker));
        for _ in 0..count {
            let (requests, responses) = (Arc::clone(&requests), responses.clone());
            let (server, waker) = (Arc::clone(server), Arc::clone(&waker));
            thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || help(&requests, &responses, &waker, &server))?;
        }
        Ok(Self { jobs, done, wakeups })
    }

    /// Hands a job to the helper threads, which live as long as the process.
    pub(super) fn submit(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// Returns the responses that have become ready.
    pub(super) fn take(&self) -> Vec<Done> {
        let mut bytes = [0; 64];
        while (&self.wakeups).read(&mut bytes).is_ok_and(|n| n > 0) {}
        self.done.try_iter().collect()
    }
}

impl AsFd for Helpers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeups.as_fd()
    }
}

fn help(
    requests: &Mutex<Receiver<Job>>,
    responses: &Sender<Done>,
    waker: &UnixStream,
    server: &Arc<Server>,
) {
    loop {
        let next = requests.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if wrong(Mutation::FilesThreadEach) {
            let (server, responses) = (Arc::clone(server), responses.clone());
            let Ok(waker) = waker.try_clone() else { return };
            thread::spawn(move || answer(job, &responses, &waker, &server));
            continue;
        }
        answer(job, responses, waker, server);
    }
}

/// Answers the job's request, and wakes the event loop.
fn answer(job: Job, responses: &Sender<Done>, mut waker: &UnixStream, server: &Server) {
    let answer = respond(&job.head, job.content, server).ok();
    let answer = answer.map(|(response, context)| (in_memory(response), context));
    let _ = responses.send(Done { token: job.token, answer });
    let _ = waker.write(&[0]);
}

/// Reads the file of a response into memory, so that the event loop need not read it.
fn in_memory(mut response: Response) -> Response {
    if let Body::File { file, at, len } = &response.body {
        let mut bytes = vec![0; usize::try_from(*len).unwrap_or(0)];
        let read = file.read_exact_at(&mut bytes, *at);
        response.close |= read.is_err();
        response.body = Body::Bytes(bytes);
    }
    response
}
