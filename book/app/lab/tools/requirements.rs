//! The resources that a number of connections requires, and a check that this machine has them,
//! before any connection is opened.

use std::fmt;
use std::fs;

use anyhow::{Result, ensure};
use figures::text::{bytes, table, thousands};
use nix::sys::resource::{Resource, getrlimit};

use samples::proc::meminfo;

/// An upper bound on a process's descriptors that are not connections.
const OTHERS: u64 = 64;
/// The most connections that the load generator lets wait to be accepted at a time.
const AT_ONCE: u64 = 500;
/// Ports needed for each source address: one for each of its connections, and some for connections
/// that linger in TIME_WAIT.
const PORTS: u64 = 4096 + 1024;
/// A generous estimate of the memory of one connection, in the kernel and in the processes at both
/// ends, in bytes. The experiment `hold` measures the real figure.
const EACH: u64 = 13 * 1024;
/// A generous estimate of the memory of a server and of the process that runs its clients,
/// without any connections, in bytes.
const EACH_PAIR: u64 = 16 * 1024 * 1024;

/// The resources that this machine offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The hard limit on descriptors in one process.
    descriptors: u64,
    /// The number of files that all processes together can still open.
    files: u64,
    processes: u64,
    backlog: u64,
    /// The number of ephemeral ports of each source address.
    ports: u64,
    /// The most descriptors in all epoll instances of one user.
    watches: u64,
    /// The number of connections that the firewall can still track. `None` if the firewall tracks
    /// none.
    tracked: Option<u64>,
    /// The available memory, in bytes.
    memory: u64,
}

impl Limits {
    /// Reads the limits of this machine, most of them from /proc.
    pub(crate) fn here() -> Result<Limits> {
        let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range");
        let files = numbers("/proc/sys/fs/file-nr"); // allocated, unused, maximum
        // A count of 0 is taken to mean that no firewall rule makes the kernel track connections,
        // so that the limit on tracked connections does not apply. (With such a rule, a machine in
        // use nearly always has some tracked connections.)
        let tracked = first("/proc/sys/net/netfilter/nf_conntrack_count");
        let tracked = tracked.filter(|count| *count > 0).and_then(|count| {
            let most = first("/proc/sys/net/netfilter/nf_conntrack_max")?;
            Some(most.saturating_sub(count))
        });
        let or_any = |path| first(path).unwrap_or(u64::MAX);
        Ok(Limits {
            descriptors,
            files: match files[..] {
                [taken, _, most] => most.saturating_sub(taken),
                _ => u64::MAX,
            },
            processes: or_any("/proc/sys/kernel/pid_max"),
            backlog: or_any("/proc/sys/net/core/somaxconn"),
            ports: match ports[..] {
                [low, high] => (high + 1).saturating_sub(low),
                _ => u64::MAX,
            },
            watches: or_any("/proc/sys/fs/epoll/max_user_watches"),
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

/// The distribution of connections over processes, and the resources that these processes require.
#[derive(Debug)]
pub(crate) struct Requirements {
    /// The numbers of connections, one for each pair of a server and its process of clients.
    pub shares: Vec<usize>,
    rows: Vec<Requirement>,
}

/// A resource: the amount that the connections need, and the amount that this machine has.
#[derive(Debug)]
struct Requirement {
    what: &'static str,
    needed: u64,
    there: u64,
    /// The name of the resource's limit, and how to raise it.
    limit: &'static str,
}

/// The name of each resource, and the name of its limit with the way to raise it.
const LIMITS: [[&str; 2]; 8] = [
    ["processes, half of them servers", "kernel.pid_max: sysctl -w kernel.pid_max=N"],
    ["descriptors in each process", "the hard limit of a process: ulimit -Hn"],
    ["descriptors in all of them", "fs.file-max: sysctl -w fs.file-max=N"],
    [
        "descriptors watched by epolls",
        "fs.epoll.max_user_watches: sysctl -w fs.epoll.max_user_watches=N",
    ],
    [
        "ports of each source address",
        "net.ipv4.ip_local_port_range: sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
    ],
    [
        "places in each accept queue",
        "net.core.somaxconn: sysctl -w net.core.somaxconn=4096",
    ],
    [
        "connections that a firewall remembers",
        "net.netfilter.nf_conntrack_max: sysctl -w net.netfilter.nf_conntrack_max=N",
    ],
    [MEMORY, "the memory: ask for fewer connections, or end other programs"],
];
/// The name of the resource that is counted in bytes.
const MEMORY: &str = "memory, at most";

impl Requirements {
    /// Distributes the connections evenly over as few servers as the limit on descriptors
    /// allows, and returns the requirements.
    ///
    /// # Errors
    ///
    /// The limit on descriptors is too low for a single connection.
    pub(crate) fn of(connections: usize, limits: &Limits) -> Result<Requirements> {
        let room = limits.descriptors.saturating_sub(OTHERS);
        ensure!(
            room > 0,
            "a process may have {} descriptors here, too few for any connection: \
             raise the limit (ulimit -Hn)",
            limits.descriptors
        );
        let all = connections as u64;
        let pairs = all.div_ceil(room).max(1);
        let shares: Vec<usize> = (0..pairs)
            .map(|at| (all / pairs + u64::from(at < all % pairs)) as usize)
            .collect();
        let largest = shares[0] as u64;
        let rows = [
            (2 * pairs, Some(limits.processes)),
            (largest + OTHERS, Some(limits.descriptors)),
            (2 * (all + pairs * OTHERS), Some(limits.files)),
            (2 * all, Some(limits.watches)),
            (PORTS.min(largest), Some(limits.ports)),
            (AT_ONCE.min(largest), Some(limits.backlog)),
            (all, limits.tracked),
            (all * EACH + pairs * EACH_PAIR, Some(limits.memory)),
        ];
        let row = |([what, limit], (needed, there)): (
            [&'static str; 2],
            (u64, Option<u64>),
        )| { Some(Requirement { what, needed, there: there?, limit }) };
        let rows = LIMITS.into_iter().zip(rows).filter_map(row).collect();
        Ok(Requirements { shares, rows })
    }

    /// Returns the requirements as a Markdown table.
    pub(crate) fn table(&self) -> String {
        let row = |row: &Requirement| {
            let [needed, there] = row.shown();
            let limit = row.limit.split(':').next().unwrap_or_default();
            format!("{} | {needed} | {there} | {limit}", row.what)
        };
        table("what | >needed | >there | the limit", self.rows.iter().map(row))
    }

    /// Checks that this machine has enough of every resource.
    ///
    /// # Errors
    ///
    /// This machine has too little of a resource. The error names the resource, and says how to
    /// raise its limit.
    pub(crate) fn check(&self) -> Result<()> {
        for row @ Requirement { what, limit, .. } in &self.rows {
            let [needed, there] = row.shown();
            ensure!(
                row.needed <= row.there,
                "too many connections for this machine: {what}: {needed} needed, {there} available; the limit is {limit}"
            );
        }
        Ok(())
    }
}

impl Requirement {
    /// Formats the amount that is needed and the amount that this machine has.
    fn shown(&self) -> [String; 2] {
        [self.needed, self.there].map(|number| match number {
            u64::MAX => "any number".to_owned(),
            number if self.what == MEMORY => bytes(number as f64),
            number => thousands(number as usize),
        })
    }
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<38} {:>12} {:>14}", "", "needed", "there")?;
        for row in &self.rows {
            let [needed, there] = row.shown();
            writeln!(f, "  {:<38} {needed:>12} {there:>14}", row.what)?;
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
    fn every_connection_has_a_place() -> Result<()> {
        for (connections, pairs) in [(1, 1), (19_936, 1), (19_937, 2), (200_000, 11)] {
            let all = Requirements::of(connections, &PLENTY)?;
            all.check()?;
            assert_eq!(all.shares.len(), pairs);
            assert_eq!(all.shares.iter().sum::<usize>(), connections);
            assert!(all.shares.iter().all(|share| *share <= 19_936));
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
            let said = Requirements::of(200_000, &limits)?.check();
            let said = said.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(name), "{name}: {said:?}");
            assert_eq!(said.lines().count(), 1);
        }
        let said = Requirements::of(10, &Limits { descriptors: 64, ..PLENTY });
        assert!(said.is_err());
        Ok(())
    }
}
