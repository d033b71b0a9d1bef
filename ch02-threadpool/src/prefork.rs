//! The server `prefork`: a fixed number of processes, all of which accept on one socket.

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

// ANCHOR: pauses
/// A child that lives for a shorter time has failed, and is not replaced at once.
const SHORT_LIFE: Duration = Duration::from_secs(1);
/// The first pause before a failed child is replaced; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a failed child is replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
// ANCHOR_END: pauses

/// The options of `prefork`.
pub type Options = With<ServerArgs>;

/// The options that only `prefork` has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Workers")]
pub struct ServerArgs {
    /// Number of processes, each with one client at a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..), default_value = "16")]
    processes: u16,
}

// ANCHOR: run
/// Serves clients until a stop is requested through `stop`.
///
/// # Errors
///
/// Those of [`supervise`].
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
            // Each child has its own stop pipe: a byte in the parent's pipe would stop
            // all processes.
            let stop = Stop::on(&[Signal::SIGTERM])?;
            let mut own = Listener::reported(listeners, parent);
            let Some(listener) = own.pop() else { return Ok(()) };
            // Each child is chapter 1's server that serves one client after another.
            iterative::run(listener, site, common, &stop)
        },
    )
}
// ANCHOR_END: run

// ANCHOR: supervise
/// Keeps `processes` child processes running until `stop` is requested. Each child
/// calls `worker_main` with its number, counted from 1, the listeners, and the pipe for
/// the reports of [`Listener::reported`].
///
/// # Errors
///
/// This process has more than one thread ([`sys::fork`]), one of the first children
/// cannot be created, or a child exits before it is ready.
pub fn supervise(
    listeners: Vec<Listener>,
    site: &Site,
    options: &Common,
    processes: u16,
    stop: &Stop,
    worker_main: impl FnOnce(u16, Vec<Listener>, OwnedFd) -> io::Result<()>,
) -> io::Result<()> {
    let mut children = Children::new()?;
    let mut reports = Reports::new()?;
    let mut empty_slots: Vec<WorkerSlot> =
        (1..=processes).map(WorkerSlot::new).collect::<io::Result<_>>()?;
    let mut starting = processes; // children that are not ready yet
    let ended = 'serving: loop {
        let due: Vec<WorkerSlot> =
            empty_slots.extract_if(.., |slot| slot.is_due()).collect();
        for mut slot in due {
            slot.since = Instant::now();
            match sys::fork() {
                Ok(Some(child)) => children.add(child, slot),
                Ok(None) => {
                    slot.usage.install();
                    let Reports { read, write, .. } = reports;
                    drop(read); // the parent's end
                    sys::run_child(|| {
                        let pipe = write.try_clone();
                        let ended = pipe
                            .and_then(|pipe| worker_main(slot.number, listeners, pipe));
                        ended.inspect_err(|error| {
                            let error = too_few(slot.number, processes, error);
                            report_error(&write, &error);
                        })
                    })
                }
                Err(error) => empty_slots.push(slot.emptied(error.to_string())),
            }
        }
        if let Some(slot) = empty_slots.first().filter(|_| starting > 0) {
            break Err(io::Error::other(too_few(slot.number, processes, &slot.why)));
        }
        let next = empty_slots.iter().map(WorkerSlot::wait).min();
        let news = [stop.as_fd(), children.wake_fd(), reports.read.as_fd()];
        if let [true, ..] = is_readable(&news, next) {
            break Ok(());
        }
        children.drain_wakeups();
        children.reap(|slot, status| {
            site.reclaim(slot.usage);
            empty_slots.push(slot.emptied(Exit(status).to_string()));
        });
        // The reports are read after reaping: a child writes its report before it
        // exits, so the report of each reaped child is in the pipe by now.
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
    // From here on the kernel refuses further connections, to the children too.
    listeners.into_iter().for_each(Listener::close_for_all);
    let within = if ended.is_ok() { options.timeouts().drain } else { Duration::ZERO };
    children.drain(within, |_, _| {});
    ended
}
// ANCHOR_END: supervise

/// Reports a child's error to its parent. At most PIPE_BUF bytes are written, which the
/// kernel keeps together, so that the lines of several children do not mix (pipe(7)).
fn report_error(parent: &OwnedFd, why: &str) {
    let mut line: Vec<u8> = why.bytes().filter(|byte| *byte != b'\n').collect();
    line.truncate(4095);
    line.push(b'\n');
    let _ = nix::unistd::write(parent, &line); // the parent notices the exit in any case
}

/// The reports of child processes to their parent, one line each: an empty line when a
/// child is [ready](Listener::ready), or the error that makes the child exit.
struct Reports {
    read: OwnedFd,
    write: OwnedFd,
    /// The beginning of a line whose end has not arrived.
    unread: Vec<u8>,
}

impl Reports {
    fn new() -> io::Result<Reports> {
        let (read, write) = sys::pipe()?;
        Ok(Reports { read, write, unread: Vec::new() })
    }

    /// Returns the complete reports that have arrived.
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

/// The slot of one worker process; a worker that exits is replaced in the same slot.
struct WorkerSlot {
    number: u16,
    /// The resources that the worker holds.
    usage: &'static Usage,
    /// The time at which the worker was created or, if there is none, at which the slot
    /// became empty.
    since: Instant,
    /// The time, counted from `since`, for which an empty slot stays empty.
    pause: Duration,
    /// The reason why the slot is empty.
    why: String,
}

impl WorkerSlot {
    fn new(number: u16) -> io::Result<WorkerSlot> {
        let (since, pause, why) = (Instant::now(), Duration::ZERO, String::new());
        Ok(WorkerSlot { number, usage: sys::shared()?, since, pause, why })
    }

    // ANCHOR: backoff
    /// Marks the slot as empty for the reason `why`: its worker has exited, or cannot
    /// be created. A worker that fails at once would be replaced again and again at
    /// full speed, so each early exit doubles the pause.
    fn emptied(mut self, why: String) -> WorkerSlot {
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
        WorkerSlot { why, ..self }
    }
    // ANCHOR_END: backoff

    /// Returns the remaining time for which the slot stays empty.
    fn wait(&self) -> Duration {
        self.pause.saturating_sub(self.since.elapsed())
    }

    fn is_due(&self) -> bool {
        self.wait().is_zero()
    }
}

/// The exit status of a child, formatted for messages.
struct Exit(WaitStatus);

impl Display for Exit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            WaitStatus::Exited(_, status) => write!(f, "status {status}"),
            WaitStatus::Signaled(_, signal, _) => write!(f, "{signal}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Returns the error for worker `number` of `wanted`, which cannot serve. Continuing with
/// fewer workers would hide the problem until the load is high.
fn too_few(number: u16, wanted: u16, why: &dyn Display) -> String {
    format!(
        "process {number} of {wanted} cannot serve ({why}); ask for fewer with --processes"
    )
}
