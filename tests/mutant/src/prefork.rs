//! Preforked worker processes, for the `workers` cases.
//!
//! Each worker is this program again, with the listening socket as its standard input, and
//! serves one client at a time. Each process has its own counters, so the cases about counters
//! judge the server with threads instead.

use std::env;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mutations::Mutation;
use crate::server::Server;
use crate::switch::wrong;

/// The interval at which the parent checks its children.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);
/// A worker that exits within this time of its start is replaced only after a pause.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// The slot of one worker. The slot stays when the worker's process is replaced by another.
struct WorkerSlot {
    child: Option<Child>,
    since: Instant,
    pause: Duration,
}

/// Keeps `workers` processes running until shutdown is requested, then drains these processes.
pub(crate) fn run(
    listener: TcpListener,
    server: &Server,
    workers: usize,
) -> io::Result<()> {
    let mut slots = Vec::new();
    for _ in 0..workers {
        let (child, since) = (Some(spawn_worker(&listener)?), Instant::now());
        slots.push(WorkerSlot { child, since, pause: Duration::ZERO });
        // With the mistake `keeps-the-turn`, the first worker always gets the turn to accept, so
        // that each run fails in the same way.
        while wrong(Mutation::KeepsTheTurn)
            && turn(FlockArg::LockExclusiveNonblock).is_some()
        {
            thread::sleep(CHECK_INTERVAL);
        }
    }
    while !server.stop.requested() {
        for slot in &mut slots {
            check_worker(slot, &listener)?;
        }
        thread::sleep(CHECK_INTERVAL);
    }
    drop(listener);
    for child in slots.iter().filter_map(|slot| slot.child.as_ref()) {
        let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    }
    let end = Instant::now() + server.options.drain_timeout;
    for child in slots.iter_mut().filter_map(|slot| slot.child.as_mut()) {
        while child.try_wait()?.is_none() && Instant::now() < end {
            thread::sleep(CHECK_INTERVAL);
        }
        let _ = child.kill();
        child.wait()?;
    }
    Ok(())
}

fn check_worker(slot: &mut WorkerSlot, listener: &TcpListener) -> io::Result<()> {
    let dead = match &mut slot.child {
        Some(child) => child.try_wait()?.is_some(),
        None => false,
    };
    if dead {
        if wrong(Mutation::WorkerEndsServer) {
            std::process::exit(0);
        }
        slot.child = None;
        slot.pause = match slot.since.elapsed() {
            long if long >= MIN_LIFETIME => Duration::ZERO,
            _ if wrong(Mutation::RushesToReplace) => Duration::ZERO,
            _ => (slot.pause * 2).max(Duration::from_millis(100)),
        };
        slot.since = Instant::now();
    }
    if slot.child.is_none()
        && slot.since.elapsed() >= slot.pause
        && !wrong(Mutation::NeverReplaces)
    {
        slot.child = Some(spawn_worker(listener)?);
        slot.since = Instant::now();
    }
    Ok(())
}

/// Starts a worker with this process's command line, except `--processes`.
fn spawn_worker(listener: &TcpListener) -> io::Result<Child> {
    let mut args = Vec::new();
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        if arg == "--processes" {
            given.next();
        } else {
            args.push(arg);
        }
    }
    Command::new(env::current_exe()?)
        .args(args)
        .arg("--worker")
        .stdin(OwnedFd::from(listener.try_clone()?))
        .stdout(Stdio::piped()) // the pipe's read end closes when the parent dies
        .spawn()
}

/// Returns the listening socket that a worker inherited as its standard input.
pub(crate) fn inherited_listener() -> io::Result<TcpListener> {
    Ok(TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Takes the turn to accept clients, and returns it: a lock on this program's file, held until the
/// returned value is dropped. Returns `None` if another process has the turn and `how` does not
/// wait for it, or if locking fails. Only a server with the mistake `keeps-the-turn` calls this
/// function; the workers of other servers accept clients without turns.
pub(crate) fn turn(how: FlockArg) -> Option<Flock<File>> {
    Flock::lock(File::open(env::current_exe().ok()?).ok()?, how).ok()
}

/// Starts a thread that exits this worker process when its parent process dies.
pub(crate) fn exit_with_parent() {
    thread::spawn(|| {
        let out = io::stdout();
        // Standard output is a pipe that the parent never reads. The only event that can occur is
        // POLLERR: the parent has died, and with it the pipe's read end has closed.
        let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
        while poll(&mut fds, PollTimeout::NONE).is_err() {}
        if !wrong(Mutation::WorkersOutliveParent) {
            std::process::exit(0);
        }
    });
}
