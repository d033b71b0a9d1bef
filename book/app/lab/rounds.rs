//! One sample of `lab readiness`: so many descriptors are watched by one mechanism, and
//! somebody speaks.
//!
//! The descriptors are UDP sockets on the loopback: network sockets as a server has them,
//! one descriptor each, and a datagram of one byte makes one of them ready. The
//! mechanisms are the servers' own, called through the same trait.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

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

use super::sample::cpu;

/// A sample repeats its round for so much processor time.
const ENOUGH: Duration = Duration::from_millis(50);

/// What one process measured, in microseconds: of one wait, one round, or one event.
#[derive(Serialize, Deserialize)]
pub(super) enum Sample {
    /// Processor time, user and system together, and the time on the wall.
    Took { cpu: f64, wall: f64 },
    /// The mechanism took so many descriptors and no more.
    Full { after: usize },
}

/// Sockets, and whoever watches them.
struct Scene {
    poller: Option<Box<dyn Poller>>,
    talker: UdpSocket,
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    ready: Vec<Ready>,
}

/// Takes a sample in this process, of `MECHANISM/KIND`.
pub(super) fn measure(what: &str, count: usize) -> Result<Sample> {
    raise_descriptor_limit();
    let (name, kind) = what.split_once('/').context("a mechanism, a slash, a kind")?;
    let mut scene = Scene::new(count)?;
    scene.poller = mechanism(name)?;
    if let Some(after) = scene.watch()? {
        return Ok(Sample::Full { after });
    }
    let mut next = count / 2;
    match kind {
        // One of them is ready, and stays so: nobody reads. In the middle, since select and poll look
        // from the beginning.
        "alone" => {
            scene.say(next)?;
            repeat(1, || scene.wait())
        }
        // One becomes ready, another each time, and is read. (The step has no factor in
        // common with the counts: in the end everybody has had its turn.)
        "one" => repeat(1, || {
            next = (next + 7_919) % count;
            scene.round(next..next + 1)
        }),
        // All become ready, and are read.
        "all" => repeat(count, || scene.round(0..count)),
        _ => bail!("neither alone, one nor all: {kind}"),
    }
}

/// The mechanism of a server, by its name; nothing for `none`.
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

/// Runs the round until the time for it can be told, and shares it out among its
/// `parts`.
fn repeat(parts: usize, mut round: impl FnMut() -> Result<()>) -> Result<Sample> {
    round()?; // what is done only once is not measured
    let (cpu_before, wall_before) = (cpu()?, Instant::now());
    let (mut rounds, mut batch) = (0_u32, 1);
    let spent = loop {
        for _ in 0..batch {
            round()?;
        }
        rounds += batch;
        let spent = cpu()? - cpu_before;
        if spent >= ENOUGH {
            break spent;
        }
        batch *= 2; // looking at the clock costs, too
    };
    let each =
        |time: Duration| time.as_secs_f64() * 1e6 / f64::from(rounds) / parts as f64;
    Ok(Sample::Took { cpu: each(spent), wall: each(wall_before.elapsed()) })
}

impl Scene {
    fn new(count: usize) -> Result<Scene> {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no socket");
        let talker = bind()?;
        let sockets = (0..count).map(|_| bind()).collect::<Result<Vec<_>>>()?;
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        let addresses =
            sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
        Ok(Scene { poller: None, talker, sockets, addresses, ready: Vec::new() })
    }

    /// Has the mechanism watch all of them; says how many it took, if not all.
    fn watch(&mut self) -> Result<Option<usize>> {
        let Some(poller) = &mut self.poller else { return Ok(None) };
        for (index, socket) in self.sockets.iter().enumerate() {
            let token = Token { index: u32::try_from(index)?, generation: 0 };
            if poller.register(socket.as_fd(), token, Interest::READ).is_err() {
                return Ok(Some(index));
            }
        }
        // What is told once at the beginning is taken; `spin` never stops telling.
        for _ in 0..100 {
            poller.wait(&mut self.ready, Some(Duration::ZERO))?;
            if self.ready.drain(..).len() == 0 {
                break;
            }
        }
        Ok(None)
    }

    fn say(&self, to: usize) -> Result<()> {
        self.talker.send_to(b"x", self.addresses[to])?;
        Ok(())
    }

    /// One wait. Something is ready.
    fn wait(&mut self) -> Result<()> {
        if let Some(poller) = &mut self.poller {
            self.ready.clear();
            poller.wait(&mut self.ready, None)?;
        }
        Ok(())
    }

    /// Somebody speaks, and is heard by whoever is said to be ready.
    fn round(&mut self, who: std::ops::Range<usize>) -> Result<()> {
        for index in who.clone() {
            self.say(index)?;
        }
        let mut byte = [0; 1];
        if self.poller.is_none() {
            for index in who {
                self.sockets[index].recv(&mut byte)?;
            }
            return Ok(());
        }
        let mut left = who.len();
        while left > 0 {
            self.wait()?;
            for event in &self.ready {
                // A hint may be in vain: `spin` gives many such.
                let heard = self.sockets[event.token.index as usize].recv(&mut byte);
                left -= usize::from(heard.is_ok());
            }
        }
        Ok(())
    }
}
