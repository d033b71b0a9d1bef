//! Samples of `lab herd`: the wake-ups of several event loops when clients connect.

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
use samples::Herd;
use samples::proc::cpu_time;

/// The number of clients in a burst.
const BURST: usize = 40;
/// The pause between two checks of whether all event loops sleep again.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes one sample in this process, which should have done nothing else before. `what` names the
/// kind of listeners, the way in which clients arrive, and the number of clients, as in
/// `one-single-800`.
pub(crate) fn sample(what: &str, loops: usize) -> Result<Herd> {
    let mut words = what.split('-');
    let mut word = || words.next().context("expected LISTENERS-ARRIVAL-CLIENTS");
    let (way, arrival, clients) = (word()?, word()?, word()?.parse::<usize>()?);
    let Ok(way) = Listeners::from_str(way, false) else { bail!("no listeners: {way}") };
    let together = if arrival == "single" { 1 } else { BURST };
    raise_descriptor_limit();

    let options: Cli = Cli::try_parse_from(["lab"])?;
    let site = options.options.site()?;
    let (stop, stopper) = Stop::pipe()?;
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.address()?;
    let (send, tallies) = mpsc::channel();
    let loops: Vec<_> = reactors::split_listener(listener, way, loops)?
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
    Ok(Herd {
        wakes: each(|tally| tally.wakes as f64),
        in_vain: each(|tally| tally.in_vain as f64),
        cpu_microseconds: each(|tally| tally.cpu.as_secs_f64() * 1e6),
        busiest: busiest as f64 / clients as f64,
    })
}

/// Waits until every other thread of this process sleeps. (On a busy machine, a thread that was
/// woken may not have run yet; the function counts it as awake.)
fn rest() -> io::Result<()> {
    let own = std::process::id().to_string();
    loop {
        thread::sleep(PAUSE);
        let mut asleep = true;
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?;
            let stat = fs::read_to_string(task.path().join("stat"))?;
            // The thread's state follows its name in parentheses (proc_pid_stat(5)).
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            asleep &= task.file_name() == *own || state == Some('S');
        }
        if asleep {
            return Ok(());
        }
    }
}

/// The counts of one event loop, from its start until the loop was asked to stop.
#[derive(Default)]
struct Tally {
    accepted: usize,
    wakes: i64,
    in_vain: usize,
    cpu: Duration,
}

/// An [`Epoll`] that counts its calls and the events that it reports.
struct Counting {
    epoll: Epoll,
    listener: Option<Token>,
    /// The token of the stop pipe, once the pipe is registered. The loop deregisters the pipe only
    /// when the loop is asked to stop. The call to `deregister` for this token ends the counts.
    stop: Option<Token>,
    tally: Tally,
    /// Whether the last wait reported a client, and no client has been registered since.
    reported: bool,
    /// The resource usage of this thread before its first wait; `None` until that wait.
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
            reported: false,
            before: None,
            send,
        })
    }

    /// Sends the counts at the end of the loop; nothing is counted after this call.
    fn finish(&mut self) -> io::Result<()> {
        let now = getrusage(UsageWho::RUSAGE_THREAD)?;
        if let Some(before) = &self.before {
            self.tally.cpu = cpu_time(&now).saturating_sub(cpu_time(before));
            // The thread's last wake-up is subtracted: it was for the stop, not for a client.
            self.tally.wakes = now.voluntary_context_switches()
                - before.voluntary_context_switches()
                - 1;
        }
        let _ = self.send.send(std::mem::take(&mut self.tally)); // the receiver may be gone
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
            self.reported = false;
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
        self.tally.in_vain += usize::from(std::mem::take(&mut self.reported));
        self.epoll.wait(ready, timeout)?;
        self.reported = ready.iter().any(|event| Some(event.token) == self.listener);
        Ok(())
    }
}
