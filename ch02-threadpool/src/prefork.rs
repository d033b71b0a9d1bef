//! Processes that are made once: all of them accept on one socket.

use crate::options::With;
use ch01_blocking::server::children::Children;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::sys::{self, Signal};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::server::usage::Usage;
use ch01_blocking::{Listener, Options as Common, Site, Stop, iterative};
use clap::{Args, value_parser};
use nix::sys::wait::WaitStatus;
use std::fmt::{self, Arguments, Display, Formatter};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A child that lives shorter than this has failed, and is not replaced at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The first pause before it is; each further failure doubles it,
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What `prefork` is told at its start.
pub type Options = With<Own>;

/// What only `prefork` is told.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workers")]
pub struct Own {
    /// Processes, each with one client at a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "16")]
    processes: u16,
}

// ANCHOR: run
/// Serves until `stop`. Only from a process with one thread: see [`sys::fork`].
pub fn run(
    listener: Listener,
    site: &Site,
    options: &Options,
    stop: &Stop,
) -> io::Result<()> {
    let Options { common, own } = options;
    supervise(vec![listener], site, common, own.processes, stop, |_, listeners| {
        // A pipe of its own: the parent's would tell everybody.
        let stop = Stop::on(&[Signal::SIGTERM])?;
        let Some(listener) = listeners.into_iter().next() else { return Ok(()) };
        // The server of chapter 1 that serves one client after another.
        iterative::run(listener, site, common, &stop)
    })
}
// ANCHOR_END: run

// ANCHOR: supervise
/// Keeps so many processes alive that all live the same life, until `stop`. Each is told
/// its number, from 1, and has the listeners.
pub fn supervise(
    listeners: Vec<Listener>,
    site: &Site,
    options: &Common,
    processes: u16,
    stop: &Stop,
    life: impl FnOnce(u16, Vec<Listener>) -> io::Result<()>,
) -> io::Result<()> {
    let mut children = Children::new()?;
    let mut vacant: Vec<Post> =
        (1..=processes).map(Post::new).collect::<io::Result<_>>()?;
    let mut starting = true;
    loop {
        let due: Vec<Post> = vacant.extract_if(.., |post| post.is_due()).collect();
        for mut post in due {
            post.since = Instant::now();
            match sys::fork() {
                Ok(Some(child)) => children.add(child, post),
                Ok(None) => {
                    post.usage.install();
                    sys::run_child(|| life(post.number, listeners))
                }
                Err(error) if starting => {
                    children.drain(Duration::ZERO, |_, _| {});
                    return Err(too_many(post.number, processes, &error));
                }
                Err(error) => vacant.push(post.vacated(format_args!("fork: {error}"))),
            }
        }
        starting = false;
        let next = vacant.iter().map(Post::wait).min();
        if let [true, _] = is_readable(&[stop.as_fd(), children.wake_fd()], next) {
            break;
        }
        children.drain_wakeups();
        children.reap(|post, status| {
            site.reclaim(post.usage);
            vacant.push(post.vacated(format_args!("{}", Ended(status))));
        });
    }
    site.drain_all();
    listeners.into_iter().for_each(Listener::close_for_all); // who comes now is refused by the kernel
    children.drain(options.timeouts().drain, |_, _| {});
    Ok(())
}
// ANCHOR_END: supervise

/// A place for a child.
struct Post {
    number: u16,
    /// What the child holds.
    usage: &'static Usage,
    /// When its child was made, or died.
    since: Instant,
    /// How long it stays vacant.
    pause: Duration,
}

impl Post {
    fn new(number: u16) -> io::Result<Post> {
        let (since, pause) = (Instant::now(), Duration::ZERO);
        Ok(Post { number, usage: sys::shared()?, since, pause })
    }

    // ANCHOR: backoff
    /// Its child is dead. A child that fails as soon as it is made would be made again
    /// and again, at full speed: so each short life doubles the pause.
    fn vacated(mut self, why: Arguments<'_>) -> Post {
        self.pause = if self.since.elapsed() < SHORT_LIFE {
            (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        } else {
            Duration::ZERO
        };
        self.since = Instant::now();
        trace::set_connection(0);
        trace!(
            "reap",
            "worker {} ({why}), a new one in {:.1} s",
            self.number,
            self.pause.as_secs_f64()
        );
        self
    }
    // ANCHOR_END: backoff

    /// How long it stays vacant yet.
    fn wait(&self) -> Duration {
        self.pause.saturating_sub(self.since.elapsed())
    }

    fn is_due(&self) -> bool {
        self.wait().is_zero()
    }
}

/// How a child has ended, in words.
struct Ended(WaitStatus);

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            WaitStatus::Exited(_, status) => write!(f, "status {status}"),
            WaitStatus::Signaled(_, signal, _) => write!(f, "{signal}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A server with fewer workers than it was told would fail later, and where nobody looks.
fn too_many(made: u16, wanted: u16, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "process {made} of {wanted} cannot be made ({error}); ask for fewer with --processes"
    ))
}
