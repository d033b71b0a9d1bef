//! `lab syscalls`: how many system calls a request costs, and which, by server.
//!
//! Each server is the real program, under `strace -f -c`, which counts the calls of all its
//! threads and processes. It runs three times: nobody asks; one client asks again and again;
//! as many clients ask once each. What the second and third run have more than the first is
//! the requests' doing. Where there is no strace, or the system lets nobody trace, there is
//! nothing to be had, and that is said.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;

use super::Lab;
use super::chart::{Chart, Series, Words};
use super::child::Watched;
use super::experiment::{Experiment, Kind, Parameter, charted};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::{KEPT, LAST, Server, answered, ask};
use crate::servers;

/// Without `spin`, which asks all the time whether anybody asks it. A server that a later
/// chapter brings is a word here.
const SERVERS: [&str; 13] = [
    "iterative",
    "fork",
    "thread",
    "pool",
    "prefork",
    "sigio",
    "select",
    "poll",
    "epoll",
    "epoll-et",
    "reactors",
    "coroutine",
    "async",
];
static REQUESTS: Parameter = Parameter { name: "requests", quick: &[50], full: &[1_000] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "syscalls",
    question: "How many system calls does a request cost, and which?",
    predict: Predict {
        ask: "A client keeps its connection and asks again and again. How many system calls does epoll make for each request?",
        form: Form::Number {
            unit: "system calls",
            answer: |record| {
                let kept = record.row(&[("server", "epoll")])?["kept"].as_object()?;
                Some(kept.values().filter_map(Value::as_f64).sum())
            },
        },
    },
    parameters: &[&REQUESTS],
    parts: &[charted("syscalls", Kind::Bar)],
    from_page: true,
    run,
};

/// System calls by name.
type Calls = BTreeMap<String, f64>;

#[derive(Serialize)]
struct Row {
    server: &'static str,
    /// For each request on a connection that is kept.
    kept: Calls,
    /// For each client that connects, asks once, and goes.
    each: Calls,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    let there = Command::new("strace").arg("-V").output().is_ok();
    ensure!(
        there,
        "there is no strace here, and the counts are its: install it (Debian: apt-get install strace)"
    );
    lab.begin(SERVERS.len());
    let mut rows = Vec::new();
    for server in SERVERS {
        lab.step(server);
        rows.push(row(lab, server).with_context(|| format!("with {server}"))?);
        lab.partial(|| parts(&rows));
    }
    keep(lab, &rows, parts(&rows))
}

fn row(lab: &Lab<'_>, server: &'static str) -> Result<Row> {
    let requests = lab.one(&REQUESTS);
    let nothing = traced(lab, server, |_| Ok(()))?;
    let more = |calls: Calls| -> Calls {
        let less = |name: &str| nothing.get(name).copied().unwrap_or(0.0);
        let each = |(name, count): (String, f64)| {
            let each = (count - less(&name)) / requests as f64;
            (each >= 0.05).then_some((name, each))
        };
        calls.into_iter().filter_map(each).collect()
    };
    let kept = traced(lab, server, |address| {
        let mut client = ask(address, KEPT)?;
        answered(&mut client)?;
        for _ in 1..requests {
            client.write_all(KEPT)?;
            answered(&mut client)?;
        }
        Ok(())
    })?;
    let each = traced(lab, server, |address| {
        for _ in 0..requests {
            let mut client = ask(address, LAST)?;
            client.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    })?;
    Ok(Row { server, kept: more(kept), each: more(each) })
}

/// What a server calls from its beginning to its end, if this is what its clients do.
fn traced(
    lab: &Lab<'_>,
    name: &str,
    clients: impl FnOnce(SocketAddr) -> Result<()>,
) -> Result<Calls> {
    let dir = tempfile::tempdir()?;
    let counts = dir.path().join("counts");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&counts).arg(servers::find(lab.house, name)?);
    let tracer = Server::command(&mut strace, name)
        .context("strace may not trace here, as in some containers")?;
    let server = only_child(tracer.id())?;
    // A tracer that is killed lets the traced live.
    let watched = Watched::new(server);
    clients(tracer.address)?;
    kill(Pid::from_raw(server.try_into()?), Signal::SIGTERM)?;
    tracer.ended()?;
    watched.ended();
    counted(&counts)
}

fn only_child(pid: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next().context("strace runs nothing")?;
    Ok(child.parse()?)
}

/// Reads what strace has counted: `% time, seconds, usecs/call, calls, errors, syscall`, of
/// which errors may be blank.
fn counted(path: &Path) -> Result<Calls> {
    Ok(calls(&fs::read_to_string(path).context("strace has counted nothing")?))
}

fn calls(text: &str) -> Calls {
    let call = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = *words.last().filter(|name| **name != "total")?;
        words.first()?.parse::<f64>().ok()?;
        Some((name.to_owned(), words.get(3).filter(|_| words.len() >= 5)?.parse().ok()?))
    };
    text.lines().filter_map(call).collect()
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let words = Words {
        title: "System calls for a client that connects, asks once, and goes",
        description: "A bar for each server.",
        x: "",
        y: "system calls for each client",
    };
    let bar = |row: &Row| Series::plain(row.server, [(0.0, row.each.values().sum())]);
    let chart = Chart::new(Kind::Bar, &words, rows.iter().map(bar));
    vec![Part { once: true, ..Part::new("syscalls", table(rows), Some(chart)) }]
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| server | a request on a kept connection | which | a client with one request | which |\n\
         |---|--:|---|--:|---|\n",
    );
    for Row { server, kept, each } in rows {
        table += &format!(
            "| `{server}` | {} | {} | {} | {} |\n",
            sum(kept),
            names(kept),
            sum(each),
            names(each)
        );
    }
    table
}

fn sum(calls: &Calls) -> String {
    figure(calls.values().sum())
}

fn figure(calls: f64) -> String {
    if (calls - calls.round()).abs() < 0.05 {
        format!("{calls:.0}")
    } else {
        format!("{calls:.1}")
    }
}

/// The most frequent first.
fn names(calls: &Calls) -> String {
    let mut calls: Vec<_> = calls.iter().collect();
    calls.sort_by(|a, b| b.1.total_cmp(a.1));
    let name = |(name, count): (&String, &f64)| match figure(*count).as_str() {
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
        let read = calls(text);
        assert_eq!(
            read.into_iter().collect::<Vec<_>>(),
            [("accept4".to_owned(), 100.0), ("read".to_owned(), 101.0)]
        );
    }
}
