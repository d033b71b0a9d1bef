//! Processes that are made once: all of them accept on one socket.

use crate::options::With;
use ch01_blocking::server::children::Children;
use ch01_blocking::server::log;
use ch01_blocking::server::stop::is_readable;
use ch01_blocking::server::sys::{self, Signal};
use ch01_blocking::server::trace::{self, trace};
use ch01_blocking::server::usage::Usage;
use ch01_blocking::{Listener, Options as Common, Site, Stop, iterative};
use clap::{Args, value_parser};
use nix::sys::wait::WaitStatus;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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
    supervise(
        vec![listener],
        site,
        common,
        own.processes,
        stop,
        |_, listeners, parent| {
            // A pipe of its own: the parent's would stop all processes.
            let stop = Stop::on(&[Signal::SIGTERM])?;
            let mut own = Listener::reported(listeners, parent);
            let Some(listener) = own.pop() else { return Ok(()) };
            // The server of chapter 1 that serves one client after another.
            iterative::run(listener, site, common, &stop)
        },
    )
}
// ANCHOR_END: run

// ANCHOR: supervise
/// Keeps `processes` child processes alive until `stop`. Each runs `life`, which is given its
/// number, from 1, the listeners, and the pipe to which those that it serves are
/// [reported](Listener::reported).
///
/// # Errors
///
/// One of the first children cannot be made, or ends before it is ready.
pub fn supervise(
    listeners: Vec<Listener>,
    site: &Site,
    options: &Common,
    processes: u16,
    stop: &Stop,
    life: impl FnOnce(u16, Vec<Listener>, OwnedFd) -> io::Result<()>,
) -> io::Result<()> {
    let mut children = Children::new()?;
    let mut reports = Reports::new()?;
    let mut vacant: Vec<Post> =
        (1..=processes).map(Post::new).collect::<io::Result<_>>()?;
    let mut starting = processes; // children that are not ready yet
    let ended = 'serving: loop {
        let due: Vec<Post> = vacant.extract_if(.., |post| post.is_due()).collect();
        for mut post in due {
            post.since = Instant::now();
            match sys::fork() {
                Ok(Some(child)) => children.add(child, post),
                Ok(None) => {
                    post.usage.install();
                    sys::run_child(|| {
                        let pipe = reports.write.try_clone();
                        let lived =
                            pipe.and_then(|pipe| life(post.number, listeners, pipe));
                        lived.inspect_err(|error| {
                            reports.error(&too_many(post.number, processes, error));
                        })
                    })
                }
                Err(error) => vacant.push(post.vacated(error.to_string())),
            }
        }
        if let Some(post) = vacant.first().filter(|_| starting > 0) {
            break Err(io::Error::other(too_many(post.number, processes, &post.why)));
        }
        let next = vacant.iter().map(Post::wait).min();
        let news = [stop.as_fd(), children.wake_fd(), reports.read.as_fd()];
        if let [true, ..] = is_readable(&news, next) {
            break Ok(());
        }
        children.drain_wakeups();
        children.reap(|post, status| {
            site.reclaim(post.usage);
            vacant.push(post.vacated(Ended(status).to_string()));
        });
        // Behind the burials: what a child reports, it reports before it ends.
        for report in reports.take() {
            match report.as_str() {
                "" if starting > 0 => {
                    starting -= 1;
                    let mut all = listeners.iter().filter(|_| starting == 0);
                    if let Err(error) = all.try_for_each(Listener::ready) {
                        break 'serving Err(error);
                    }
                }
                "" => {}
                why if starting > 0 => break 'serving Err(io::Error::other(why)),
                why => log::line(&format!("error: {why}")),
            }
        }
    };
    site.drain_all();
    listeners.into_iter().for_each(Listener::close_for_all); // who comes now is refused by the kernel
    let within = if ended.is_ok() { options.timeouts().drain } else { Duration::ZERO };
    children.drain(within, |_, _| {});
    ended
}
// ANCHOR_END: supervise

/// What child processes report to their parent, a line each: an empty one when a child is
/// [ready](Listener::ready), or the error by which it ends.
struct Reports {
    read: OwnedFd,
    write: OwnedFd,
    /// The beginning of a line.
    unread: Vec<u8>,
}

impl Reports {
    fn new() -> io::Result<Reports> {
        let (read, write) = sys::pipe()?;
        Ok(Reports { read, write, unread: Vec::new() })
    }

    /// Reports a child's error. As many bytes as PIPE_BUF are written in one piece, so that
    /// the lines of several children do not mix (pipe(7)).
    fn error(&self, why: &str) {
        let mut line: Vec<u8> = why.bytes().filter(|byte| *byte != b'\n').collect();
        line.truncate(4095);
        line.push(b'\n');
        let _ = nix::unistd::write(&self.write, &line); // the parent sees the end, at least
    }

    /// Takes the reports that have come.
    fn take(&mut self) -> Vec<String> {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = nix::unistd::read(&self.read, &mut piece) {
            self.unread.extend_from_slice(&piece[..n]);
        }
        let end = self.unread.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<u8> = self.unread.drain(..end.map_or(0, |end| end + 1)).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// A place for a child.
struct Post {
    number: u16,
    /// What the child holds.
    usage: &'static Usage,
    /// When its child was made, or died.
    since: Instant,
    /// How long it stays vacant.
    pause: Duration,
    /// Why it is vacant.
    why: String,
}

impl Post {
    fn new(number: u16) -> io::Result<Post> {
        let (since, pause, why) = (Instant::now(), Duration::ZERO, String::new());
        Ok(Post { number, usage: sys::shared()?, since, pause, why })
    }

    // ANCHOR: backoff
    /// Its child is dead. A child that fails as soon as it is made would be made again
    /// and again, at full speed: so each short life doubles the pause.
    fn vacated(mut self, why: String) -> Post {
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
        Post { why, ..self }
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
fn too_many(number: u16, wanted: u16, why: &dyn Display) -> String {
    format!(
        "process {number} of {wanted} cannot serve ({why}); ask for fewer with --processes"
    )
}
