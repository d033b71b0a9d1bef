//! `lab syscalls`: the number of system calls that each server makes for a request, by name.
//!
//! Each server is the book's own program, under `strace -f -c`, which counts the calls of all the
//! server's threads and processes. Each server runs three times: without a client; with one client
//! that sends n requests; and with n clients that send one request each. The calls that the second
//! and third run make in addition to the first belong to the requests. If strace is missing, or
//! tracing is not permitted, the experiment fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use profiles::PROFILES;
use serde::Serialize;

use crate::child::ProcessGuard;
use crate::lab::prelude::*;
use crate::lab::tools::clients::{KEPT, LAST, answered, ask};
use crate::lab::tools::server::Server;
use crate::servers;

/// The servers that are not measured: `spin` makes system calls all the time, and `kqueue` does
/// not run on Linux.
const LEFT_OUT: [&str; 2] = ["spin", "kqueue"];
static REQUESTS: Parameter = parameter("requests", &[50], &[1_000]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "syscalls",
    question: "How many system calls does a request cost, and which?",
    predict: number(
        "A client keeps its connection and asks again and again. How many system calls does epoll make for each request?",
        "system calls",
        |record| {
            let kept = [("server", "epoll"), ("connections", "kept")];
            let counts = record.rows(&kept).map(|row| row.get("count")?.figure());
            counts.sum::<Option<f64>>().filter(|count| *count > 0.0)
        },
    ),
    parameters: &[&REQUESTS],
    parts: &[charted("syscalls", Kind::Bar)],
    ..measured_by(run)
};

/// Numbers of system calls, by the call's name.
type Calls = BTreeMap<String, f64>;

/// The numbers of system calls of one server, per request and by name.
struct Counted {
    server: &'static str,
    /// Calls per request if one connection is kept for all requests.
    kept: Calls,
    /// Calls per request if each request has its own client, which connects, sends the request, and
    /// leaves.
    each: Calls,
}

#[derive(Serialize)]
struct Row<'a> {
    server: &'static str,
    /// `kept` if all requests use one connection, `each` if every request has its own connection.
    connections: &'static str,
    call: &'a str,
    count: f64,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let there = Command::new("strace").arg("-V").output().is_ok();
    ensure!(
        there,
        "strace, which counts the system calls, is not installed (Debian: apt-get install strace)"
    );
    let servers = PROFILES.iter().map(|profile| profile.name);
    let servers: Vec<_> = servers.filter(|name| !LEFT_OUT.contains(name)).collect();
    run.begin(servers.len());
    let mut all = Vec::new();
    for server in servers {
        run.step(server);
        all.push(count(run, server).with_context(|| format!("with {server}"))?);
        run.partial(|| parts(&all));
    }
    let mut rows = Vec::new();
    for Counted { server, kept, each } in &all {
        for (connections, calls) in [("kept", kept), ("each", each)] {
            rows.extend(calls.iter().map(|(call, &count)| Row {
                server,
                connections,
                call,
                count,
            }));
        }
    }
    Results::new(&rows, parts(&all))
}

fn count(run: &Run<'_>, server: &'static str) -> Result<Counted> {
    let requests = run.one(&REQUESTS);
    let nothing = traced(run, server, |_| Ok(()))?;
    let more = |calls: Calls| -> Calls {
        let less = |name: &str| nothing.get(name).copied().unwrap_or(0.0);
        let each = |(name, count): (String, f64)| {
            let each = (count - less(&name)) / requests as f64;
            (each >= 0.05).then_some((name, each))
        };
        calls.into_iter().filter_map(each).collect()
    };
    let kept = traced(run, server, |address| {
        let mut client = ask(address, KEPT)?;
        answered(&mut client)?;
        for _ in 1..requests {
            client.write_all(KEPT)?;
            answered(&mut client)?;
        }
        Ok(())
    })?;
    let each = traced(run, server, |address| {
        for _ in 0..requests {
            let mut client = ask(address, LAST)?;
            client.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    })?;
    Ok(Counted { server, kept: more(kept), each: more(each) })
}

/// Counts a server's system calls from its start to its end. The function `clients` is called while
/// the server runs.
fn traced(
    run: &Run<'_>,
    name: &str,
    clients: impl FnOnce(SocketAddr) -> Result<()>,
) -> Result<Calls> {
    let dir = tempfile::tempdir()?;
    let counts = dir.path().join("counts");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&counts).arg(servers::find(run.paths, name)?);
    let tracer = Server::command(&mut strace, name)
        .context("strace cannot trace here, as in some containers")?;
    let server = only_child(tracer.id())?;
    // The guard kills the server: if only strace is killed, the server that it traces goes on
    // running.
    let guard = ProcessGuard::new(server);
    clients(tracer.address)?;
    kill(Pid::from_raw(server.try_into()?), Signal::SIGTERM)?;
    tracer.ended()?;
    guard.ended();
    Ok(parse(&fs::read_to_string(&counts).context("strace has counted nothing")?))
}

/// Returns the process ID of the first child of strace, which is the server.
fn only_child(pid: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next().context("strace runs nothing")?;
    Ok(child.parse()?)
}

/// Parses strace's table, whose columns are `% time, seconds, usecs/call, calls, errors, syscall`.
/// The column of errors may be blank.
fn parse(text: &str) -> Calls {
    let call = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = *words.last().filter(|name| **name != "total")?;
        words.first()?.parse::<f64>().ok()?;
        Some((name.to_owned(), words.get(3).filter(|_| words.len() >= 5)?.parse().ok()?))
    };
    text.lines().filter_map(call).collect()
}

fn parts(all: &[Counted]) -> Vec<Part> {
    let labels = Labels {
        title: "System calls for a client that connects, asks once, and goes",
        description: "A bar for each server.",
        x: "",
        y: "system calls for each client",
    };
    let bar = |one: &Counted| Series::plain(one.server, [(0.0, one.each.values().sum())]);
    let chart = Chart::new(Kind::Bar, &labels, all.iter().map(bar));
    let head = "server | >a request on a kept connection | which | >a client with one request | which";
    let row = |Counted { server, kept, each }: &Counted| {
        let [kept, each] = [kept, each]
            .map(|calls| format!("{} | {}", tenths(calls.values().sum()), names(calls)));
        format!("`{server}` | {kept} | {each}")
    };
    vec![Part::once("syscalls", table(head, all.iter().map(row)), Some(chart))]
}

/// Formats a number of calls with one decimal, or without if the decimal would be 0.
fn tenths(calls: f64) -> String {
    match (calls - calls.round()).abs() < 0.05 {
        true => format!("{calls:.0}"),
        false => format!("{calls:.1}"),
    }
}

/// Returns the names of the system calls, the most frequent first, each with the number of calls
/// unless that number is 1.
fn names(calls: &Calls) -> String {
    let mut calls: Vec<_> = calls.iter().collect();
    calls.sort_by(|a, b| b.1.total_cmp(a.1));
    let name = |(name, count): (&String, &f64)| match tenths(*count).as_str() {
        "1" => format!("`{name}`"),
        count => format!("{count} `{name}`"),
    };
    calls.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_strace_is_read_with_and_without_errors() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    60.00    0.000300           3       100        50 accept4\n \
                    40.00    0.000200           2       101           read\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.000500           2       201        50 total\n";
        let read = parse(text);
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [("accept4".to_owned(), 100.0), ("read".to_owned(), 101.0)]
        );
    }
}
