//! Samples of `lab readiness`: the time of a wait on a poller.

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
use samples::Readiness;

use crate::Repeated;

/// The least processor time of a sample, which repeats the measured calls until this time has
/// passed.
const ENOUGH: Duration = Duration::from_millis(50);

/// Sockets, and the poller that watches them; no poller for the mechanism `none`.
struct Fixture {
    poller: Option<Box<dyn Poller>>,
    sender: UdpSocket,
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    ready: Vec<Ready>,
}

/// Takes one sample in this process. `what` is `MECHANISM/KIND`, and `count` the number of
/// descriptors.
pub(crate) fn sample(what: &str, count: usize) -> Result<Readiness> {
    raise_descriptor_limit();
    let (name, kind) = what.split_once('/').context("expected MECHANISM/KIND")?;
    let mut fixture = Fixture::new(count, mechanism(name)?)?;
    if let Some(after) = fixture.watch()? {
        return Ok(Readiness::Full { after });
    }
    let mut next = count / 2;
    match kind {
        // One descriptor is ready, and stays ready because nothing reads it. The descriptor is in
        // the middle of the list, since select and poll search from the beginning.
        "alone" => {
            fixture.send(next)?;
            repeat(1, || fixture.wait())
        }
        // In each round, another descriptor becomes ready and is read. (The step 7,919 and the
        // numbers of descriptors have no common factor, so all descriptors are used.)
        "one" => repeat(1, || {
            next = (next + 7_919) % count;
            fixture.round(next..next + 1)
        }),
        // In each round, all descriptors become ready and are read.
        "all" => repeat(count, || fixture.round(0..count)),
        _ => bail!("neither alone, one nor all: {kind}"),
    }
}

/// Returns a new poller of the mechanism `name`; `None` if `name` is `none`.
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

/// Calls `round` again and again, and returns the time of one call divided by `parts`, the number
/// of events in a call, in microseconds.
fn repeat(parts: usize, mut round: impl FnMut() -> Result<()>) -> Result<Readiness> {
    let rounds = |times| (0..times).try_for_each(|_| round());
    let Repeated { cpu, wall } = crate::repeat(1, ENOUGH, rounds)?;
    let each = |seconds: f64| seconds * 1e6 / parts as f64;
    Ok(Readiness::Took { cpu: each(cpu), wall: each(wall) })
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

    /// Registers all sockets with the poller. Returns the number of sockets that the poller
    /// accepted before it refused one, or `None` if it accepted all.
    fn watch(&mut self) -> Result<Option<usize>> {
        let Some(poller) = &mut self.poller else { return Ok(None) };
        for (index, socket) in self.sockets.iter().enumerate() {
            let token = Token { index: u32::try_from(index)?, generation: 0 };
            if poller.register(socket.as_fd(), token, Interest::READ).is_err() {
                return Ok(Some(index));
            }
        }
        // Some pollers report every new descriptor once, and the waits here consume these reports.
        // (`spin` reports all descriptors every time, hence the limit of a hundred waits.)
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

    /// Waits once on the poller, or does nothing if there is no poller. A descriptor must be ready,
    /// or the wait would not return.
    fn wait(&mut self) -> Result<()> {
        if let Some(poller) = &mut self.poller {
            self.ready.clear();
            poller.wait(&mut self.ready, None)?;
        }
        Ok(())
    }

    /// Makes each of the sockets with the indices `sockets` ready, waits, and reads the sockets
    /// that are reported, until all of these sockets have been read.
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
                // A socket that was reported need not be ready: `spin` reports all sockets every
                // time.
                let received = self.sockets[event.token.index as usize].recv(&mut byte);
                left -= usize::from(received.is_ok());
            }
        }
        Ok(())
    }
}
