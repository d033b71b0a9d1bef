//! Processes that are made once, for the cases about those. Each is this program again,
//! with the listening socket for its standard input; it serves one client at a time.
//! Counters are each process's own: the cases about them are judged with threads.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// How often the parent looks after its children.
const GLANCE: Duration = Duration::from_millis(5);
/// Who lives shorter than this is not replaced at once.
const SHORT: Duration = Duration::from_secs(1);

/// One place for a worker.
struct Post {
    child: Option<Child>,
    since: Instant,
    pause: Duration,
}

/// Keeps so many workers alive until it is time to stop, and ends them.
pub(crate) fn run(
    listener: TcpListener,
    server: &Server,
    workers: usize,
) -> io::Result<()> {
    let mut posts = Vec::new();
    for _ in 0..workers {
        let (child, since) = (Some(worker(&listener)?), Instant::now());
        posts.push(Post { child, since, pause: Duration::ZERO });
    }
    while !server.stop.asked() {
        for post in &mut posts {
            look_after(post, &listener)?;
        }
        thread::sleep(GLANCE);
    }
    drop(listener);
    for child in posts.iter().filter_map(|post| post.child.as_ref()) {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    }
    let end = Instant::now() + server.options.drain_timeout;
    for child in posts.iter_mut().filter_map(|post| post.child.as_mut()) {
        while child.try_wait()?.is_none() && Instant::now() < end {
            thread::sleep(GLANCE);
        }
        let _ = child.kill();
        child.wait()?;
    }
    Ok(())
}

fn look_after(post: &mut Post, listener: &TcpListener) -> io::Result<()> {
    let dead = match &mut post.child {
        Some(child) => child.try_wait()?.is_some(),
        None => false,
    };
    if dead {
        if wrong(Mutation::WorkerEndsServer) {
            std::process::exit(0);
        }
        post.child = None;
        post.pause = match post.since.elapsed() {
            long if long >= SHORT => Duration::ZERO,
            _ if wrong(Mutation::RushesToReplace) => Duration::ZERO,
            _ => (post.pause * 2).max(Duration::from_millis(100)),
        };
        post.since = Instant::now();
    }
    if post.child.is_none()
        && post.since.elapsed() >= post.pause
        && !wrong(Mutation::NeverReplaces)
    {
        post.child = Some(worker(listener)?);
        post.since = Instant::now();
    }
    Ok(())
}

/// Starts a worker: the same command line, without the number of workers.
fn worker(listener: &TcpListener) -> io::Result<Child> {
    let mut words = Vec::new();
    let mut given = env::args().skip(1);
    while let Some(word) = given.next() {
        if word == "--processes" {
            given.next();
        } else {
            words.push(word);
        }
    }
    Command::new(env::current_exe()?)
        .args(words)
        .arg("--worker")
        .stdin(OwnedFd::from(listener.try_clone()?))
        .stdout(Stdio::piped()) // its other end is gone when the parent is
        .spawn()
}

/// A worker's listening socket.
pub(crate) fn inherited() -> io::Result<TcpListener> {
    Ok(TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Ends this worker when its parent is dead.
pub(crate) fn die_with_the_parent() {
    thread::spawn(|| {
        let out = io::stdout();
        // Nobody writes to it, so all that can happen is that nobody can read it any more.
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
        while poll(&mut fds, PollTimeout::NONE).is_err() {}
        if !wrong(Mutation::WorkersOutliveParent) {
            std::process::exit(0);
        }
    });
}
