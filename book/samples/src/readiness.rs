//! Samples of `lab readiness`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ch01_blocking::program::raise_descriptor_limit;
use ch03_nonblocking::poller::{Interest, Poller, Ready, Token};
#[cfg(target_os = "linux")]
use ch03_nonblocking::sigio::Sigio;
use ch03_nonblocking::spin::Spin;
use ch04_select_poll::poll::Poll;
use ch04_select_poll::select::Select;
#[cfg(target_os = "linux")]
use ch05_epoll::epoll::{Epoll, Trigger};
use serde::{Deserialize, Serialize};

use crate::Repeated;

/// What one process measured.
#[derive(Serialize, Deserialize)]
pub enum Sample {
    /// It was measured.
    Took {
        /// Microseconds of processor time, user and system together.
        cpu: f64,
        /// Microseconds on the clock.
        wall: f64,
    },
    /// The mechanism refused a further descriptor.
    Full {
        /// The number that it took.
        after: usize,
    },
}

/// A sample repeats its round for this much processor time.
const ENOUGH: Duration = Duration::from_millis(50);

/// Sockets, and the poller that watches them.
struct Fixture {
    poller: Option<Box<dyn Poller>>,
    sender: UdpSocket,
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    ready: Vec<Ready>,
}

/// Takes a sample in this process, of `MECHANISM/KIND`.
pub fn sample(what: &str, count: usize) -> Result<Sample> {
    raise_descriptor_limit();
    let (name, kind) = what.split_once('/').context("a mechanism, a slash, a kind")?;
    let mut fixture = Fixture::new(count, mechanism(name)?)?;
    if let Some(after) = fixture.watch()? {
        return Ok(Sample::Full { after });
    }
    let mut next = count / 2;
    match kind {
        // One of them is ready, and stays so: nothing reads it. In the middle, since select
        // and poll look from the beginning.
        "alone" => {
            fixture.send(next)?;
            repeat(1, || fixture.wait())
        }
        // One becomes ready, another each time, and is read. (The step has no factor in
        // common with the counts: in the end every socket has had its turn.)
        "one" => repeat(1, || {
            next = (next + 7_919) % count;
            fixture.round(next..next + 1)
        }),
        // All become ready, and are read.
        "all" => repeat(count, || fixture.round(0..count)),
        _ => bail!("neither alone, one nor all: {kind}"),
    }
}

/// Returns the mechanism of a server, by its name; `None` for `none`.
fn mechanism(name: &str) -> Result<Option<Box<dyn Poller>>> {
    Ok(Some(match name {
        "none" => return Ok(None),
        "spin" => Box::new(Spin::default()),
        "select" => Box::new(Select::default()),
        "poll" => Box::new(Poll::default()),
        #[cfg(target_os = "linux")]
        "sigio" => Box::new(Sigio::new()?),
        #[cfg(target_os = "linux")]
        "epoll" => Box::new(Epoll::new(Trigger::Level)?),
        #[cfg(target_os = "linux")]
        "epoll-et" => Box::new(Epoll::new(Trigger::Edge)?),
        _ => bail!("this system has no {name}"),
    }))
}

/// Repeats the round, and shares out what it took among its `parts`.
fn repeat(parts: usize, mut round: impl FnMut() -> Result<()>) -> Result<Sample> {
    let rounds = |times| (0..times).try_for_each(|_| round());
    let Repeated { cpu, wall } = crate::repeat(1, ENOUGH, rounds)?;
    let each = |seconds: f64| seconds * 1e6 / parts as f64;
    Ok(Sample::Took { cpu: each(cpu), wall: each(wall) })
}

impl Fixture {
    fn new(count: usize, poller: Option<Box<dyn Poller>>) -> Result<Fixture> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no socket");
        let sender = bind()?;
        let sockets = (0..count).map(|_| bind()).collect::<Result<Vec<_>>>()?;
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        let addresses =
            sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
        Ok(Fixture { poller, sender, sockets, addresses, ready: Vec::new() })
    }

    /// Registers all sockets; returns how many the mechanism took, if not all.
    fn watch(&mut self) -> Result<Option<usize>> {
        let Some(poller) = &mut self.poller else { return Ok(None) };
        for (index, socket) in self.sockets.iter().enumerate() {
            let token = Token { index: u32::try_from(index)?, generation: 0 };
            if poller.register(socket.as_fd(), token, Interest::READ).is_err() {
                return Ok(Some(index));
            }
        }
        // Takes what is reported once at the beginning; `spin` always reports all.
        for _ in 0..100 {
            poller.wait(&mut self.ready, Some(Duration::ZERO))?;
            if self.ready.drain(..).len() == 0 {
                break;
            }
        }
        Ok(None)
    }

    fn send(&self, to: usize) -> Result<()> {
        self.sender.send_to(b"x", self.addresses[to])?;
        Ok(())
    }

    /// Waits once, with something ready.
    fn wait(&mut self) -> Result<()> {
        if let Some(poller) = &mut self.poller {
            self.ready.clear();
            poller.wait(&mut self.ready, None)?;
        }
        Ok(())
    }

    /// Sends to each of these sockets, and reads those that are reported ready.
    fn round(&mut self, sockets: Range<usize>) -> Result<()> {
        for index in sockets.clone() {
            self.send(index)?;
        }
        let mut byte = [0; 1];
        if self.poller.is_none() {
            for index in sockets {
                self.sockets[index].recv(&mut byte)?;
            }
            return Ok(());
        }
        let mut left = sockets.len();
        while left > 0 {
            self.wait()?;
            for event in &self.ready {
                // A hint may be wrong: `spin` gives many such.
                let received = self.sockets[event.token.index as usize].recv(&mut byte);
                left -= usize::from(received.is_ok());
            }
        }
        Ok(())
    }
}
