//! What is weighed: the kernel's memory, and the servers' own.

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

use super::super::machine::{after, meminfo};
use super::super::running::Server;

/// A moment's memory, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    /// The kernel's small things (sockets, descriptors, the entries of epolls), its page
    /// tables and stacks.
    pub(super) kernel: f64,
    /// What is sent and not received yet, and what sockets keep for that. No part of the above.
    pub(super) buffers: f64,
    /// The servers' own: what is shared, such as the program, counts in parts (`Pss`).
    pub(super) servers: f64,
}

impl Weight {
    /// Now.
    pub(super) fn now(servers: &[Server]) -> Result<Weight> {
        let kernel: u64 = ["Slab", "PageTables", "KernelStack"].map(meminfo).iter().sum();
        let page = sysconf(SysconfVar::PAGE_SIZE)?.context("no page size")? as u64;
        let mut own = 0;
        for server in servers {
            own += pss(server.id())?;
        }
        Ok(Weight {
            kernel: kernel as f64 * 1024.0,
            buffers: (sockets("mem")? * page) as f64,
            servers: own as f64 * 1024.0,
        })
    }

    /// What has come to it since, for each of so many.
    pub(super) fn each(self, before: Weight, count: usize) -> Weight {
        let each = |now: f64, before: f64| (now - before) / count as f64;
        Weight {
            kernel: each(self.kernel, before.kernel),
            buffers: each(self.buffers, before.buffers),
            servers: each(self.servers, before.servers),
        }
    }
}

fn pss(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let value = after(&path, "Pss").with_context(|| format!("no Pss in {path}"))?;
    Ok(value.split(' ').next().unwrap_or_default().parse()?)
}

/// A number of the kernel's account of TCP: `inuse` sockets, `mem` in pages, and so on.
pub(super) fn sockets(name: &str) -> Result<u64> {
    let line = after("/proc/net/sockstat", "TCP").context("no account of TCP sockets")?;
    let mut words = line.split(' ');
    words.find(|word| *word == name);
    let number = words.next().with_context(|| format!("no {name} in sockstat"))?;
    Ok(number.parse()?)
}
