//! `lab client`: whether the client that measures is to be trusted. The same load, on the
//! same server, from the suite's client and from wrk, which is somebody else's.
//!
//! Where the server is at its limit, or an answer takes its time, two clients that measure
//! well must say the same. Where the client is at its limit, they may differ, and do: then
//! each of them has measured itself.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use client_suite::load::{self, Plan};
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

use super::Lab;
use super::compare::Cores;
use super::experiment::{Experiment, Parameter, table as tabled};
use super::prediction::{Form, Predict};
use super::record::{Part, keep};
use super::running::Server;
use super::spread::{Spread, thousands};

/// Requests, one under way on each connection.
struct Load {
    title: &'static str,
    server: &'static str,
    path: &'static str,
    connections: usize,
}

const LOADS: [Load; 3] = [
    Load {
        title: "the answer takes its time",
        server: "epoll",
        path: "/sleep/10",
        connections: 64,
    },
    Load {
        title: "the server is at its limit",
        server: "epoll",
        path: "/bytes/262144",
        connections: 64,
    },
    Load {
        title: "the client is at its limit",
        server: "epoll",
        path: "/plaintext",
        connections: 64,
    },
];
static REPEATS: Parameter = Parameter { name: "repeats", quick: &[2], full: &[7] };
static SECONDS: Parameter = Parameter { name: "seconds", quick: &[1], full: &[2] };

pub(super) static EXPERIMENT: Experiment = Experiment {
    name: "client",
    question: "Does the client that measures here say the same as wrk?",
    predict: Predict {
        ask: "Two clients ask the same server for the same thing, each as fast as it can. When will they disagree on how many requests a second it serves?",
        form: Form::Choice {
            options: &[
                "when every answer takes its time",
                "when the server is at its limit",
                "when the client is at its limit",
            ],
            answer: |record| {
                let apart = |load: &&Load| {
                    let rate = |client| {
                        let row = [("load", load.title), ("client", client)];
                        record.figure(&row, "/requests_per_second")
                    };
                    let (ours, wrks) = (rate("this one")?, rate("wrk")?);
                    Some((ours - wrks).abs() / ours.max(wrks))
                };
                let all: Vec<f64> =
                    LOADS.iter().map(|load| apart(&load)).collect::<Option<_>>()?;
                let most = (0..all.len()).max_by(|a, b| all[*a].total_cmp(&all[*b]))?;
                let percent: Vec<_> =
                    all.iter().map(|apart| format!("{:.0}", apart * 100.0)).collect();
                Some((most, format!("{} % apart, in this order", percent.join(", "))))
            },
        },
    },
    parameters: &[&REPEATS, &SECONDS],
    parts: &[tabled("client")],
    from_page: false, // wrk must be installed first
    run,
};

/// What one client said once. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    requests_per_second: f64,
    p50: f64,
    p99: f64,
    /// The part of the time in which it was running.
    busy: f64,
}

#[derive(Serialize)]
struct Row {
    load: &'static str,
    path: &'static str,
    client: &'static str,
    requests_per_second: Spread,
    p50: Spread,
    p99: Spread,
    busy: Spread,
}

/// The whole experiment.
fn run(lab: &Lab<'_>) -> Result<()> {
    let cores = Cores::of_this_process(&mut Vec::new());
    let repeats = lab.one(&REPEATS);
    let time = Duration::from_secs(lab.one(&SECONDS) as u64);
    lab.begin(LOADS.len() * repeats);
    let mut rows = Vec::new();
    for load in &LOADS {
        let server = cores.start(|| Server::start(lab, load.server, &[]))?;
        let (mut ours, mut wrks) = (Vec::new(), Vec::new());
        for round in 1..=repeats {
            lab.step(&format!("{}, round {round} of {repeats}", load.title));
            ours.push(by_ours(load, &server, time)?);
            wrks.push(by_wrk(load, &server, time)?);
        }
        server.stop()?;
        rows.push(Row::of(load, "this one", &ours));
        rows.push(Row::of(load, "wrk", &wrks));
        lab.partial(|| parts(&rows));
    }
    drop(cores); // the machine's facts are those of all of them
    keep(lab, &rows, parts(&rows))
}

fn by_ours(load: &Load, server: &Server, time: Duration) -> Result<Said> {
    let plan = Plan {
        connections: load.connections,
        warm_up: Duration::ZERO, // wrk has none
        time,
        ..Plan::new(server.address, load.path)
    };
    let outcome = load::run(&plan, &mut |_| {})?;
    ensure!(outcome.errors.total() == 0, "some requests were not answered well");
    let quantile = |q| outcome.latency.value_at_quantile(q) as f64 / 1e6;
    Ok(Said {
        requests_per_second: outcome.requests as f64 / outcome.elapsed.as_secs_f64(),
        p50: quantile(0.5),
        p99: quantile(0.99),
        busy: outcome.client_busy,
    })
}

fn by_wrk(load: &Load, server: &Server, time: Duration) -> Result<Said> {
    let before = buried()?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs())])
        .arg(format!("http://{}{}", server.address, load.path))
        .output()
        .context("wrk, which this is about, cannot be started; is it installed?")?;
    let used = buried()?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let understood = understand(&text, used.as_secs_f64() / time.as_secs_f64());
    understood.with_context(|| format!("wrk said {text:?}"))
}

/// Processor time of the children that have ended.
fn buried() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let [user, system] = [usage.user_time(), usage.system_time()].map(|time| {
        Duration::from_micros((time.tv_sec() * 1_000_000 + time.tv_usec()) as u64)
    });
    Ok(user + system)
}

/// wrk's report. `None` where it is none, or tells of errors.
fn understand(report: &str, busy: f64) -> Option<Said> {
    if report.contains("Socket errors") || report.contains("Non-2xx") {
        return None;
    }
    let behind = |name: &str| {
        let mut lines = report.lines().map(str::trim_start);
        lines.find_map(|line| line.strip_prefix(name)).map(str::trim)
    };
    let milliseconds = |text: &str| {
        let (number, factor) = match text {
            text if text.ends_with("us") => (text.strip_suffix("us")?, 0.001),
            text if text.ends_with("ms") => (text.strip_suffix("ms")?, 1.0),
            text => (text.strip_suffix('s')?, 1000.0),
        };
        Some(number.parse::<f64>().ok()? * factor)
    };
    Some(Said {
        requests_per_second: behind("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(behind("50%")?)?,
        p99: milliseconds(behind("99%")?)?,
        busy,
    })
}

impl Row {
    fn of(load: &Load, client: &'static str, said: &[Said]) -> Row {
        let spread = |of: fn(&Said) -> f64| Spread::of(said.iter().map(of).collect());
        Row {
            load: load.title,
            path: load.path,
            client,
            requests_per_second: spread(|said| said.requests_per_second),
            p50: spread(|said| said.p50),
            p99: spread(|said| said.p99),
            busy: spread(|said| said.busy),
        }
    }
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let mut table = String::from(
        "| 64 connections | client | requests/s | p50, ms | p99, ms | client busy |\n\
         |---|---|--:|--:|--:|--:|\n",
    );
    for Row { load, path, client, requests_per_second, p50, p99, busy } in rows {
        let rate = |value: f64| thousands(value.round() as usize);
        table += &format!(
            "| {load}: `{path}` | {client} | {} ({} to {}) | {:.2} | {:.2} | {:.0} % |\n",
            rate(requests_per_second.median),
            rate(requests_per_second.min),
            rate(requests_per_second.max),
            p50.median,
            p99.median,
            busy.median * 100.0,
        );
    }
    vec![Part::new("client", table, None)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\
Running 1s test @ http://127.0.0.1:8080/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   365.99us  150.30us   2.10ms   80.01%
    Req/Sec   171.04k     4.05k  175.00k    70.00%
  Latency Distribution
     50%  353.00us
     75%  420.00us
     90%  515.00us
     99%    1.02ms
  171000 requests in 1.00s, 25.00MB read
Requests/sec: 170950.25
Transfer/sec:     25.00MB
";

    #[test]
    fn what_wrk_reports_is_understood() {
        let said =
            Said { requests_per_second: 170_950.25, p50: 0.353, p99: 1.02, busy: 0.9 };
        assert_eq!(understand(REPORT, 0.9), Some(said));
        assert_eq!(understand("unable to connect", 0.9), None);
        let errors =
            format!("{REPORT}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert_eq!(understand(&errors, 0.9), None);
    }
}
