//! `lab hold`: the memory of very many idle connections, and whether they all still work.
//!
//! Each process has a limited number of descriptors, so there are as many servers as needed, each
//! with its own address and its own process of clients. Every client connects, sends a request, is
//! answered, and then is idle. When all clients are connected, the memory is read: that of the
//! kernel, which has both ends of each connection, and that of the servers. After that, every
//! client sends a second request on the same connection; a client that is not answered counts as
//! lost.
//!
//! The kernel's figures are those of the whole machine: another program that opens many files or
//! connections during the measurement can add as much memory as twenty thousand clients do. The
//! kernel's memory is therefore read before the first connection and again after the last one
//! is gone; the memory with connections is compared with the mean of these two readings, and a note
//! says if the two differ much.

use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use load_generator::Errors;
use nix::unistd::{SysconfVar, sysconf};
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::clients;
use crate::lab::tools::held::Clients;
use crate::lab::tools::requirements::{Limits, Requirements};
use crate::lab::tools::server::Server;
use samples::proc::{field, meminfo, of_process};

/// The servers that are measured, unless an option names one.
const SERVERS: [&str; 3] = ["epoll", "coroutine", "async"];
static CONNECTIONS: Parameter = parameter("connections", &[20_000], &[200_000]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "hold",
    question: "How many clients can this machine hold, and what does it pay for each? (`--connections N`)",
    predict: number(
        "A client has been answered, keeps its connection and says nothing, and both its ends are on this machine. How much memory does the kernel hold for it?",
        "KiB",
        |record| {
            let held = |of| record.figure(&[("server", "epoll")], of);
            Some((held("kernel")? + held("buffers")?) / 1024.0)
        },
    ),
    parameters: &[&CONNECTIONS],
    parts: &[tabled("hold"), tabled("hold-needs")],
    ..measured_by(|run| measure(run, &Options::default()))
};

/// The limit on a row's `drift`, a fraction. A row whose `drift` is greater gets a note that other
/// programs may have disturbed its measurement.
const MOST_DRIFT: f64 = 0.1;

/// The pause between two readings of the number of sockets, while the kernel releases connections.
const SETTLING: Duration = Duration::from_millis(200);

/// The command-line options that only `lab hold` has.
#[derive(Args, Debug, Default)]
#[group(skip)] // clap names a group after its type, and `chaos` also has a type `Options`
pub struct Options {
    /// Only for `lab hold`: number of connections [default: 20000, or 200000 with --full]
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Only for `lab hold`: server to measure [default: epoll, coroutine and async, one after the other]
    #[arg(long, value_name = "NAME", value_parser = SERVERS)]
    server: Option<String>,
}

#[derive(Serialize)]
struct Row {
    server: String,
    connections: usize,
    /// The number of servers, which is also the number of processes of clients.
    processes: usize,
    /// The number of clients whose first request was answered.
    opened: usize,
    /// The number of clients whose second request, on the same connection, was answered.
    kept: usize,
    /// The failures of the clients that lack an answer, by kind of failure.
    #[serde(flatten)]
    errors: Errors,
    /// Seconds until all clients had been answered for the first time.
    opening_seconds: f64,
    /// Memory for each connection, in bytes.
    #[serde(flatten)]
    memory: MemoryUsage,
    /// The possible disturbance of the measurement by other programs, as a fraction: the greater of
    /// the change in kernel memory from before to after the connections, relative to the memory of
    /// the connections, and the difference between the number of new sockets and the expected two
    /// per connection, relative to the expected number.
    #[serde(skip)]
    drift: f64,
}

/// Measures the servers with the number of connections that `options` and `run` determine.
pub(crate) fn measure(run: &Run<'_>, options: &Options) -> Result<Results> {
    let usual = run.one(&CONNECTIONS);
    let connections = options.connections.unwrap_or(usual);
    ensure!(connections > 0, "--connections 0: there must be at least one connection");
    let one = options.server.as_deref();
    let requirements = Requirements::of(connections, &Limits::here()?)?;
    if !run.progress.events {
        eprint!("lab hold: {} connections\n{requirements}", thousands(connections));
    }
    let servers: Vec<_> =
        SERVERS.into_iter().filter(|name| one.is_none_or(|one| one == *name)).collect();
    run.begin(servers.len());
    let mut rows = Vec::new();
    for server in servers {
        let row = row(run, server, connections)
            .with_context(|| format!("{} clients of {server}", thousands(connections)))?;
        rows.push(row);
    }
    for Row { server, connections, kept, errors, .. } in &rows {
        let lost = connections - kept;
        if lost > 0 {
            // If connections are lost, the figures of the remaining ones are shown, but not stored.
            run.show(&[Part::once("hold", table_of(&rows), None)]);
            bail!("{server} lost {} ({errors:?})", counted(lost, "connection"));
        }
    }
    let full = if run.full { " --full" } else { "" };
    let mut command =
        format!("cargo run --release -- lab hold --connections {connections}{full}");
    if let Some(server) = one {
        command += &format!(" --server {server}");
    }
    // A result for another number of connections does not replace the result for the usual number.
    let (name, more) = match connections == usual {
        true => ("hold", Some(Part::once("hold-needs", requirements.table(), None))),
        false => ("hold-far", None),
    };
    let parts = [Part::once(name, table_of(&rows), None)].into_iter().chain(more);
    let results = Results::new(&rows, parts.collect())?;
    let disturbed = rows.iter().filter(|row| row.drift > MOST_DRIFT).map(|row| {
        format!(
            "{}: other programs have changed the kernel's memory or its sockets meanwhile, by {:.0} % of what was measured, so the figure may be off by as much",
            row.server,
            row.drift * 100.0
        )
    });
    let notes = disturbed.collect();
    let parameters = [(CONNECTIONS.name.to_owned(), vec![connections])].into();
    let stored_as = Some(StoredAs { command, name, parameters });
    Ok(Results { stored_as, notes, ..results })
}

fn row(run: &Run<'_>, name: &str, connections: usize) -> Result<Row> {
    // Check again for each server, because closed connections of the server measured before may
    // still occupy memory, and entries in the firewall's table of connections.
    let requirements = Requirements::of(connections, &Limits::here()?)?;
    requirements.check()?;
    let shares = requirements.shares;
    run.step(name);

    let options = format!("--idle-timeout 86400 --max-connections {}", shares[0]);
    let mut servers = Vec::new();
    for _ in &shares {
        let server = Server::start(run, name, &options)?;
        // Serve one client, so that memory which the server allocates for its first client and
        // keeps is not counted as memory of the connections.
        clients::hold(server.address, 1)?;
        servers.push(server);
    }
    let before = MemoryUsage::now(&servers)?;
    let sockets_before = sockets("inuse")? as f64;

    let (start, progress) = (Instant::now(), progress(connections));
    let (mut held, mut done) = (Vec::new(), 0);
    progress.set_message("connecting");
    for (server, share) in servers.iter().zip(&shares) {
        let tell = &mut |count| progress.set_position((done + count) as u64);
        held.push(Clients::connect(run, server.address, *share, tell)?);
        done += share;
    }
    let opening = start.elapsed();
    let during = MemoryUsage::now(&servers)?;
    let new_sockets = sockets("inuse")? as f64 - sockets_before;

    let (mut opened, mut kept, mut errors, mut done) = (0, 0, Errors::default(), 0);
    progress.set_message("asking again");
    for (clients, share) in held.into_iter().zip(&shares) {
        let tell = &mut |count| progress.set_position((done + count) as u64);
        let result = clients.ask_again(tell)?;
        done += share;
        opened += result.opened;
        kept += result.kept;
        errors += result.errors;
    }
    progress.finish_and_clear();
    drop(servers);
    // Wait until the kernel has released the closed connections, which takes a while: their memory
    // must not count for the next server.
    let mut left = u64::MAX;
    loop {
        let now = sockets("inuse")?;
        if now >= left {
            break;
        }
        left = now;
        thread::sleep(SETTLING);
    }
    let after = MemoryUsage::of_kernel()?;
    let memory = during.each(before.mean_of_kernel(after), connections);
    let change = (after.kernel - before.kernel).abs();
    let drift = change / (memory.kernel.abs() * connections as f64).max(1.0);
    // Two new sockets are expected for each connection, because both ends are on this machine.
    let expected = 2.0 * connections as f64;
    let drift = drift.max((new_sockets - expected).abs() / expected);
    Ok(Row {
        server: name.to_owned(),
        connections,
        processes: shares.len(),
        opened,
        kept,
        errors,
        opening_seconds: opening.as_secs_f64(),
        memory,
        drift,
    })
}

/// Returns a progress bar, which is hidden unless standard error is a terminal.
fn progress(connections: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}");
    ProgressBar::new(connections as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn table_of(rows: &[Row]) -> String {
    let head = "server | >connections | >servers | >lost | >in the kernel, each | >in the server, each | >all together";
    let row = |row: &Row| {
        let MemoryUsage { kernel, buffers, own } = row.memory;
        format!(
            "`{}` | {} | {} | {} | {} | {} | {}",
            row.server,
            thousands(row.connections),
            row.processes,
            thousands(row.connections - row.kept),
            bytes(kernel + buffers),
            bytes(own),
            bytes((kernel + buffers + own) * row.connections as f64),
        )
    };
    table(head, rows.iter().map(row))
}

/// Memory in use, or memory per connection, in bytes.
#[derive(Clone, Copy, Serialize)]
struct MemoryUsage {
    /// The kernel's small objects (sockets, descriptors, entries of epoll instances), page
    /// tables and kernel stacks.
    kernel: f64,
    /// The buffers of sockets, for data that was sent and not yet received. `kernel` does not
    /// include them.
    buffers: f64,
    /// The servers' own memory. A page shared by n processes, such as one of the program,
    /// counts as 1/n of a page for each (`Pss`).
    own: f64,
}

impl MemoryUsage {
    /// Returns the memory that the kernel and `servers` use now. The kernel's memory is that of the
    /// whole machine.
    fn now(servers: &[Server]) -> Result<MemoryUsage> {
        let own: u64 = servers
            .iter()
            .map(|server| of_process(server.id(), "smaps_rollup", "Pss"))
            .sum::<Result<_>>()?;
        Ok(MemoryUsage { own: own as f64 * 1024.0, ..MemoryUsage::of_kernel()? })
    }

    /// Returns the kernel's memory in use now; `own` is 0.
    fn of_kernel() -> Result<MemoryUsage> {
        let kernel: u64 = ["Slab", "PageTables", "KernelStack"].map(meminfo).iter().sum();
        let page = sysconf(SysconfVar::PAGE_SIZE)?
            .context("the system reports no page size")? as u64;
        Ok(MemoryUsage {
            kernel: kernel as f64 * 1024.0,
            buffers: (sockets("mem")? * page) as f64,
            own: 0.0,
        })
    }

    /// Returns `self` with other values of `kernel` and `buffers`: for each, the mean of the values
    /// in `self` and `after`.
    fn mean_of_kernel(self, after: MemoryUsage) -> MemoryUsage {
        MemoryUsage {
            kernel: f64::midpoint(self.kernel, after.kernel),
            buffers: f64::midpoint(self.buffers, after.buffers),
            ..self
        }
    }

    /// Returns the growth of the memory since `before`, in bytes for each of `count` connections.
    fn each(self, before: MemoryUsage, count: usize) -> MemoryUsage {
        let each = |now: f64, before: f64| (now - before) / count as f64;
        MemoryUsage {
            kernel: each(self.kernel, before.kernel),
            buffers: each(self.buffers, before.buffers),
            own: each(self.own, before.own),
        }
    }
}

/// Returns a figure about TCP from /proc/net/sockstat: `inuse` for the number of sockets, `mem`
/// for pages of memory, and so on.
fn sockets(name: &str) -> Result<u64> {
    let line = field("/proc/net/sockstat", "TCP")
        .context("/proc/net/sockstat has no line about TCP")?;
    let mut words = line.split(' ');
    words.find(|word| *word == name);
    let number = words.next().with_context(|| format!("no {name} in sockstat"))?;
    Ok(number.parse()?)
}
