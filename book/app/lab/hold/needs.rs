//! What so many connections need, and whether this machine has it: known before they are made.

use std::fmt;
use std::fs;

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit};

use super::super::machine::meminfo;
use super::super::spread::{bytes, thousands};

/// Descriptors of a process that are no connections.
const OTHERS: u64 = 64;
/// So many may have connected and not been accepted yet; see `load`.
const AT_ONCE: u64 = 500;
/// Connections from each source address, and a few that rest from before (TIME_WAIT).
const PORTS: u64 = 4096 + 1024;
/// What one connection may cost the kernel and the processes at both ends, generously, in
/// bytes. The experiment finds out what it does.
const EACH: u64 = 13 * 1024;
/// And a server and a client by themselves.
const EACH_PAIR: u64 = 16 * 1024 * 1024;

/// What this machine allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of one process.
    descriptors: u64,
    /// Of all processes, and not yet taken.
    files: u64,
    processes: u64,
    backlog: u64,
    /// For connections from one address to another, and not yet taken by anybody.
    ports: u64,
    /// Descriptors in all epolls of one user.
    watches: u64,
    /// Connections that the firewall still has room to remember, if there is one.
    tracked: Option<u64>,
    /// In bytes.
    memory: u64,
}

impl Limits {
    /// Of this machine, as it is now.
    pub(super) fn here() -> Result<Limits> {
        let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range");
        let files = numbers("/proc/sys/fs/file-nr"); // taken, free, and the most
        // One that remembers nothing has no rules for it, and will not begin now.
        let remembered = first("/proc/sys/net/netfilter/nf_conntrack_count");
        let tracked = remembered.filter(|count| *count > 0).and_then(|count| {
            let most = first("/proc/sys/net/netfilter/nf_conntrack_max")?;
            Some(most.saturating_sub(count))
        });
        let unknown = u64::MAX;
        Ok(Limits {
            descriptors,
            files: match files[..] {
                [taken, _, most] => most.saturating_sub(taken),
                _ => unknown,
            },
            processes: first("/proc/sys/kernel/pid_max").unwrap_or(unknown),
            backlog: first("/proc/sys/net/core/somaxconn").unwrap_or(unknown),
            ports: match ports[..] {
                [low, high] => (high + 1).saturating_sub(low),
                _ => unknown,
            },
            watches: first("/proc/sys/fs/epoll/max_user_watches").unwrap_or(unknown),
            tracked,
            memory: meminfo("MemAvailable") * 1024,
        })
    }
}

fn numbers(path: &str) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn first(path: &str) -> Option<u64> {
    numbers(path).first().copied()
}

/// How the connections are dealt out, and what that takes.
#[derive(Debug)]
pub(super) struct Needs {
    /// Connections of each server and the client beside it.
    pub(super) shares: Vec<usize>,
    rows: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    what: &'static str,
    needed: u64,
    there: u64,
    /// Numbers are bytes.
    memory: bool,
    /// Which limit it is, and what to do about it.
    limit: &'static str,
}

impl Needs {
    /// Of so many connections. Each server and each client has as many as one process may.
    pub(super) fn of(connections: usize, limits: &Limits) -> Result<Needs> {
        let room = limits.descriptors.saturating_sub(OTHERS);
        if room == 0 {
            bail!(
                "a process may have {} descriptors here: too few for anything; \
                 raise the limit (ulimit -Hn)",
                limits.descriptors
            );
        }
        let all = connections as u64;
        let pairs = all.div_ceil(room).max(1);
        let shares: Vec<usize> = (0..pairs)
            .map(|at| (all / pairs + u64::from(at < all % pairs)) as usize)
            .collect();
        let need = |what, needed, there, limit| Need {
            what,
            needed,
            there,
            memory: false,
            limit,
        };
        let largest = shares[0] as u64;
        let mut rows = vec![
            need(
                "processes, half of them servers",
                2 * pairs,
                limits.processes,
                "kernel.pid_max: sysctl -w kernel.pid_max=N",
            ),
            need(
                "descriptors in each process",
                largest + OTHERS,
                limits.descriptors,
                "the hard limit of a process: ulimit -Hn",
            ),
            need(
                "descriptors in all of them",
                2 * (all + pairs * OTHERS),
                limits.files,
                "fs.file-max: sysctl -w fs.file-max=N",
            ),
            need(
                "descriptors watched by epolls",
                2 * all,
                limits.watches,
                "fs.epoll.max_user_watches: sysctl -w fs.epoll.max_user_watches=N",
            ),
            need(
                "ports of each source address",
                PORTS.min(largest),
                limits.ports,
                "net.ipv4.ip_local_port_range: \
                 sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
            ),
            need(
                "places in each accept queue",
                AT_ONCE.min(largest),
                limits.backlog,
                "net.core.somaxconn: sysctl -w net.core.somaxconn=4096",
            ),
        ];
        if let Some(tracked) = limits.tracked {
            let limit = "net.netfilter.nf_conntrack_max: \
                         sysctl -w net.netfilter.nf_conntrack_max=N";
            rows.push(need("connections that a firewall remembers", all, tracked, limit));
        }
        let memory = all * EACH + pairs * EACH_PAIR;
        let limit = "the memory: ask for fewer connections, or end other programs";
        rows.push(Need {
            memory: true,
            ..need("memory, at most", memory, limits.memory, limit)
        });
        Ok(Needs { shares, rows })
    }

    /// For a page.
    pub(super) fn table(&self) -> String {
        let mut table =
            String::from("| what | needed | there | the limit |\n|---|--:|--:|---|\n");
        for need in &self.rows {
            let limit = need.limit.split(':').next().unwrap_or_default();
            table += &format!(
                "| {} | {} | {} | {limit} |\n",
                need.what,
                need.show(need.needed),
                need.show(need.there),
            );
        }
        table
    }

    /// Says which limit forbids it, if one does.
    pub(super) fn check(&self) -> Result<()> {
        let Some(need) = self.rows.iter().find(|need| need.needed > need.there) else {
            return Ok(());
        };
        bail!(
            "so many connections cannot be had here: {}, {} needed and {} there; it is {}",
            need.what,
            need.show(need.needed),
            need.show(need.there),
            need.limit
        )
    }
}

impl Need {
    fn show(&self, number: u64) -> String {
        match number {
            u64::MAX => "any number".to_owned(),
            number if self.memory => bytes(number as f64),
            number => thousands(number as usize),
        }
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<38} {:>12} {:>14}", "", "needed", "there")?;
        for need in &self.rows {
            writeln!(
                f,
                "  {:<38} {:>12} {:>14}",
                need.what,
                need.show(need.needed),
                need.show(need.there)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Limits = Limits {
        descriptors: 20_000,
        files: 1_000_000,
        processes: 32_768,
        backlog: 4096,
        ports: 28_232,
        watches: 1_000_000,
        tracked: None,
        memory: 1 << 40,
    };

    #[test]
    fn everybody_has_a_place() -> Result<()> {
        for (connections, pairs) in [(1, 1), (19_936, 1), (19_937, 2), (200_000, 11)] {
            let needs = Needs::of(connections, &PLENTY)?;
            needs.check()?;
            assert_eq!(needs.shares.len(), pairs);
            assert_eq!(needs.shares.iter().sum::<usize>(), connections);
            assert!(needs.shares.iter().all(|share| *share <= 19_936));
        }
        Ok(())
    }

    #[test]
    fn the_limit_that_forbids_it_is_named() -> Result<()> {
        let poor: [(Limits, &str); 6] = [
            (Limits { files: 399_999, ..PLENTY }, "fs.file-max"),
            (Limits { processes: 20, ..PLENTY }, "kernel.pid_max"),
            (Limits { backlog: 128, ..PLENTY }, "net.core.somaxconn"),
            (Limits { ports: 1_000, ..PLENTY }, "net.ipv4.ip_local_port_range"),
            (Limits { tracked: Some(65_536), ..PLENTY }, "nf_conntrack_max"),
            (Limits { memory: 1 << 30, ..PLENTY }, "the memory"),
        ];
        for (limits, name) in poor {
            let said = Needs::of(200_000, &limits)?.check();
            let said = said.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(name), "{name}: {said:?}");
            assert_eq!(said.lines().count(), 1);
        }
        let said = Needs::of(10, &Limits { descriptors: 64, ..PLENTY });
        assert!(said.is_err());
        Ok(())
    }
}
