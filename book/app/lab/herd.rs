//! `lab herd`: how often several loops are woken for one client, and who gets it.
//!
//! Each sample is taken in a fresh process: its loops are those of `reactors`, around a
//! mechanism that counts. Clients connect and say nothing, so that whatever the loops
//! do, they do for the sake of accepting.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use std::{fs, io, thread};

use anyhow::{Context, Result, bail, ensure};
use ch01_blocking::program::{Cli, raise_descriptor_limit};
use ch01_blocking::{Listener, Stop};
use ch03_nonblocking::event_loop::EventLoop;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
use ch05_epoll::epoll::{Epoll, Trigger};
use ch05_epoll::reactors::{self, Listeners};
use clap::{Parser, ValueEnum};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::sample::in_a_process;
use super::spread::Spread;

const WAYS: [&str; 3] = ["each", "one", "herd"];
static LOOPS: Parameter =
    Parameter { name: "loops", quick: &[2, 8], full: &[2, 4, 8, 16] };
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[3], full: &[5] };
static CLIENTS: Parameter = Parameter { name: "clients", quick: &[400], full: &[800] };
/// Clients that come together, in the second half of the experiment.
const BURST: usize = 40;
/// Between two clients, or two bursts, at least; and until all loops are asleep again.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "herd",
    question: "How often are several loops woken for one client, and who gets it?",
    predict: Predict {
        ask: "Eight loops are asleep, all on one listener, with EPOLLEXCLUSIVE. Clients come one at a time. Who gets them?",
        form: Form::Choice {
            options: &[
                "each loop about as many",
                "some loops many more than others",
                "always the same loop",
            ],
            answer: |record| {
                let row = [("listeners", "one"), ("loops", "8")];
                let busiest = record.figure(&row, "/single/busiest")?;
                let option = [0.2, 0.9].iter().filter(|end| busiest >= **end).count();
                Some((option, format!("one loop gets {:.0} % of them", busiest * 100.0)))
            },
        },
    },
    parameters: &[&LOOPS, &REPEATS, &CLIENTS],
    parts: &[charted("herd", Kind::Line)],
    from_page: true,
    run,
};

/// What one process counted, over all its loops.
#[derive(Serialize, Deserialize)]
pub(super) struct Sample {
    /// That a loop slept and was woken, for each client.
    wakes: f64,
    /// That a loop was told of a client and found none, for each client.
    in_vain: f64,
    /// Processor time of the loops, for each client.
    cpu_microseconds: f64,
    /// The part of all clients that went to the loop with the most.
    busiest: f64,
}

#[derive(Serialize)]
struct Row {
    listeners: &'static str,
    loops: usize,
    /// Clients that come one at a time.
    single: Measured,
    /// Clients that come in bursts.
    bursts: Measured,
}

#[derive(Serialize)]
struct Measured {
    wakes: Spread,
    in_vain: Spread,
    cpu_microseconds: Spread,
    busiest: Spread,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    let mut rows = Vec::new();
    lab.begin(WAYS.len() * lab.list(&LOOPS).len());
    for listeners in WAYS {
        for &loops in lab.list(&LOOPS) {
            lab.step(&format!("{listeners}, {loops} loops"));
            rows.push(Row {
                listeners,
                loops,
                single: measured(lab, listeners, "single", loops)?,
                bursts: measured(lab, listeners, "bursts", loops)?,
            });
            lab.partial(|| parts(&rows));
        }
    }
    keep(lab, &rows, parts(&rows))
}

fn parts(rows: &[Row]) -> Vec<Part> {
    vec![Part::new("herd", table(rows), Some(chart(rows)))]
}

fn measured(
    lab: &Lab<'_>,
    listeners: &str,
    arrival: &str,
    loops: usize,
) -> Result<Measured> {
    let what = format!("{listeners}-{arrival}-{}", lab.one(&CLIENTS));
    let sample = |_| in_a_process("herd", &what, loops);
    let samples: Vec<Sample> =
        (0..lab.one(&REPEATS)).map(sample).collect::<Result<_>>()?;
    let spread = |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(of).collect());
    Ok(Measured {
        wakes: spread(|sample| sample.wakes),
        in_vain: spread(|sample| sample.in_vain),
        cpu_microseconds: spread(|sample| sample.cpu_microseconds),
        busiest: spread(|sample| sample.busiest),
    })
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| listeners | loops | wake-ups for a client | processor time for a client | the busiest loop has, of single clients | … of clients in bursts |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for Row { listeners, loops, single, bursts } in rows {
        table += &format!(
            "| `{listeners}` | {loops} | {:.1} | {:.0} µs ({:.0} to {:.0}) | {:.0} % | {:.0} % |\n",
            single.wakes.median,
            single.cpu_microseconds.median,
            single.cpu_microseconds.min,
            single.cpu_microseconds.max,
            single.busiest.median * 100.0,
            bursts.busiest.median * 100.0,
        );
    }
    table
}

fn chart(rows: &[Row]) -> Chart {
    let series = WAYS.map(|name| {
        let rows = rows.iter().filter(|row| row.listeners == name);
        Series::of(name, rows.map(|row| (row.loops as f64, row.single.wakes)))
    });
    let words = Words {
        title: "Wake-ups for one client",
        description: "Three lines over the number of loops. Those of each and one lie on each other, flat, near one wake-up for a client. That of herd rises with the number of loops.",
        x: "loops",
        y: "loops woken for one client",
    };
    Chart::new(Kind::Line, &words, series)
}

/// Takes one sample in this process, which should have done nothing else. `what` is how
/// clients are dealt out, how they come, and how many, as in `one-single-800`.
pub(super) fn measure(what: &str, loops: usize) -> Result<Sample> {
    let mut words = what.split('-');
    let mut word = || words.next().context("not three words");
    let (way, arrival, clients) = (word()?, word()?, word()?.parse::<usize>()?);
    let Ok(way) = Listeners::from_str(way, false) else { bail!("no way: {way}") };
    let together = if arrival == "single" { 1 } else { BURST };
    raise_descriptor_limit();

    let options: Cli = Cli::try_parse_from(["lab"])?;
    let site = options.options.site()?;
    let (stop, stopper) = Stop::pipe()?;
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.address()?;
    let (send, tallies) = mpsc::channel();
    let loops: Vec<_> = reactors::deal(listener, way, loops)?
        .into_iter()
        .map(|listener| {
            let counting = Counting::new(way, send.clone())?;
            EventLoop::new(counting, listener, &site, &options.options, &stop)
        })
        .collect::<io::Result<_>>()?;
    thread::scope(|scope| {
        for reactor in loops {
            scope.spawn(|| reactor.run());
        }
        rest()?;
        let mut silent = Vec::with_capacity(clients);
        while silent.len() < clients {
            for _ in 0..together {
                silent.push(TcpStream::connect(address)?);
            }
            rest()?;
        }
        stopper.stop()
    })?;
    drop(send);
    let tallies: Vec<Tally> = tallies.iter().collect();
    let accepted: usize = tallies.iter().map(|tally| tally.accepted).sum();
    ensure!(accepted == clients, "{accepted} of {clients} clients were accepted");
    let each =
        |of: fn(&Tally) -> f64| tallies.iter().map(of).sum::<f64>() / clients as f64;
    let busiest = tallies.iter().map(|tally| tally.accepted).max().unwrap_or(0);
    Ok(Sample {
        wakes: each(|tally| tally.wakes as f64),
        in_vain: each(|tally| tally.in_vain as f64),
        cpu_microseconds: each(|tally| tally.cpu.as_secs_f64() * 1e6),
        busiest: busiest as f64 / clients as f64,
    })
}

/// Waits until every thread but this one sleeps: on a busy machine one that has been
/// woken may not have had its turn yet.
fn rest() -> io::Result<()> {
    let own = std::process::id().to_string();
    loop {
        thread::sleep(PAUSE);
        let mut asleep = true;
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?;
            let stat = fs::read_to_string(task.path().join("stat"))?;
            // Behind the name in parentheses (proc_pid_stat(5)).
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            asleep &= task.file_name() == *own || state == Some('S');
        }
        if asleep {
            return Ok(());
        }
    }
}

/// What one loop has done until it was told to stop.
#[derive(Default)]
struct Tally {
    accepted: usize,
    wakes: i64,
    in_vain: usize,
    cpu: Duration,
}

/// An [`Epoll`] that counts what it is asked and what it says.
struct Counting {
    epoll: Epoll,
    listener: Option<Token>,
    /// What is watched only until the loop is told to stop. (The listener may come and go.)
    stop: Option<Token>,
    tally: Tally,
    /// Whether it told of a client, and none has been registered since.
    told: bool,
    /// What this thread had used before it waited for the first time.
    before: Option<Usage>,
    send: Sender<Tally>,
}

impl Counting {
    fn new(way: Listeners, send: Sender<Tally>) -> io::Result<Counting> {
        Ok(Counting {
            epoll: Epoll::new(Trigger::Edge)?.non_exclusive(way == Listeners::Herd),
            listener: None,
            stop: None,
            tally: Tally::default(),
            told: false,
            before: None,
            send,
        })
    }

    /// The loop stops: nothing after this counts.
    fn finish(&mut self) -> io::Result<()> {
        let now = getrusage(UsageWho::RUSAGE_THREAD)?;
        if let Some(before) = &self.before {
            self.tally.cpu = cpu(&now).saturating_sub(cpu(before));
            // It is awake now because of the stop, which is no client's doing.
            self.tally.wakes = now.voluntary_context_switches()
                - before.voluntary_context_switches()
                - 1;
        }
        let _ = self.send.send(std::mem::take(&mut self.tally)); // or nobody asks
        Ok(())
    }
}

impl Poller for Counting {
    fn register(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        if interest == Interest::ACCEPT {
            self.listener = Some(token);
        } else if self.before.is_some() {
            self.tally.accepted += 1;
            self.told = false;
        } else {
            self.stop = Some(token);
        }
        self.epoll.register(fd, token, interest)
    }

    fn reregister(
        &mut self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.epoll.reregister(fd, token, interest)
    }

    fn deregister(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        if self.stop == Some(token) {
            self.finish()?;
        }
        self.epoll.deregister(fd, token)
    }

    fn wait(
        &mut self,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if self.before.is_none() {
            self.before = Some(getrusage(UsageWho::RUSAGE_THREAD)?);
        }
        self.tally.in_vain += usize::from(std::mem::take(&mut self.told));
        self.epoll.wait(ready, timeout)?;
        self.told = ready.iter().any(|event| Some(event.token) == self.listener);
        Ok(())
    }
}

/// User and system time.
fn cpu(usage: &Usage) -> Duration {
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}
