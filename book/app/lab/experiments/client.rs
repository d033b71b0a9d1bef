//! `lab client`: compares the test suite's load generator with wrk, another load generator, under
//! the same load on the same server.
//!
//! If the server is the bottleneck, or answers are delayed, two good load generators must report
//! the same figures. If a load generator is the bottleneck, the figures differ, because each load
//! generator has then measured itself.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use load_generator::{self as load, Plan};
use serde::Serialize;

use crate::lab::prelude::*;
use crate::lab::tools::cores::Cores;
use crate::lab::tools::server::Server;
use samples::proc::children_cpu;

/// The loads on the server `epoll`: a title, and the path of all requests. Each connection has one
/// request in flight.
const LOADS: [(&str, &str); 3] = [
    ("the answer takes its time", "/sleep/10"),
    ("the server is at its limit", "/bytes/262144"),
    ("the client is at its limit", "/plaintext"),
];
const CONNECTIONS: usize = 64;
static REPEATS: Parameter = parameter("repeats", &[2], &[7]);
static SECONDS: Parameter = parameter("seconds", &[1], &[2]);

pub(crate) static EXPERIMENT: Experiment = Experiment {
    name: "client",
    question: "Does the client that measures here say the same as wrk?",
    predict: choice(
        "Two clients ask the same server for the same thing, each as fast as it can. When will they disagree on how many requests a second it serves?",
        &[
            "when every answer takes its time",
            "when the server is at its limit",
            "when the client is at its limit",
        ],
        |record| {
            let apart = |(title, _): &(&str, &str)| {
                let rate = |client| {
                    let row = [("load", *title), ("client", client)];
                    record.figure(&row, "requests_per_second")
                };
                let (ours, wrks) = (rate("this one")?, rate("wrk")?);
                Some((ours - wrks).abs() / ours.max(wrks))
            };
            let all = LOADS.iter().map(apart).collect::<Option<Vec<f64>>>()?;
            let most = (0..all.len()).max_by(|a, b| all[*a].total_cmp(&all[*b]))?;
            let percent: Vec<_> =
                all.iter().map(|apart| format!("{:.0}", apart * 100.0)).collect();
            Some((most, format!("{} % apart, in this order", percent.join(", "))))
        },
    ),
    parameters: &[&REPEATS, &SECONDS],
    parts: &[tabled("client")],
    from_page: false, // wrk must be installed first
    ..measured_by(run)
};

/// The figures that one load generator reports for one round. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ClientReport {
    requests_per_second: f64,
    p50: f64,
    p99: f64,
    /// The fraction of the round's duration in which the load generator was running on a processor.
    busy: f64,
}

#[derive(Serialize)]
struct Row {
    load: &'static str,
    path: &'static str,
    client: &'static str,
    requests_per_second: Summary,
    p50: Summary,
    p99: Summary,
    busy: Summary,
}

fn run(run: &Run<'_>) -> Result<Results> {
    let cores = Cores::of_this_process(&mut Vec::new());
    let repeats = run.one(&REPEATS);
    let time = Duration::from_secs(run.one(&SECONDS) as u64);
    run.begin(LOADS.len() * repeats);
    let mut rows = Vec::new();
    for (load, path) in LOADS {
        let server = cores.start(|| Server::start(run, "epoll", ""))?;
        let (mut ours, mut wrks) = (Vec::new(), Vec::new());
        for round in 1..=repeats {
            run.step(&format!("{load}, round {round} of {repeats}"));
            ours.push(by_ours(path, &server, time)?);
            wrks.push(by_wrk(path, &server, time)?);
        }
        server.stop()?;
        for (client, reports) in [("this one", ours), ("wrk", wrks)] {
            let summary = |of: fn(&ClientReport) -> f64| Summary::over(&reports, of);
            rows.push(Row {
                load,
                path,
                client,
                requests_per_second: summary(|report| report.requests_per_second),
                p50: summary(|report| report.p50),
                p99: summary(|report| report.p99),
                busy: summary(|report| report.busy),
            });
        }
    }
    drop(cores); // lets this process use all its cores again, before the record counts them
    Results::new(&rows, parts(&rows))
}

fn by_ours(path: &str, server: &Server, time: Duration) -> Result<ClientReport> {
    let plan = Plan {
        connections: CONNECTIONS,
        warm_up: Duration::ZERO, // wrk has no warm-up
        time,
        ..Plan::new(server.address, path)
    };
    let outcome = load::run(&plan, &mut |_| {})?;
    ensure!(outcome.errors.total() == 0, "some requests failed: {:?}", outcome.errors);
    let quantile = |q| outcome.latency.value_at_quantile(q) as f64 / 1e6;
    Ok(ClientReport {
        requests_per_second: outcome.requests as f64 / outcome.elapsed.as_secs_f64(),
        p50: quantile(0.5),
        p99: quantile(0.99),
        busy: outcome.client_busy,
    })
}

fn by_wrk(path: &str, server: &Server, time: Duration) -> Result<ClientReport> {
    let before = children_cpu()?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency"])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs())])
        .arg(format!("http://{}{path}", server.address))
        .output()
        .context("cannot start wrk, which this experiment needs; is it installed?")?;
    let used = children_cpu()?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let report = parse(&text, used.as_secs_f64() / time.as_secs_f64());
    report.with_context(|| format!("wrk printed {text:?}"))
}

/// Parses the text that the load generator wrk prints. `None` if the text is not a report, or if
/// the report contains errors.
fn parse(report: &str, busy: f64) -> Option<ClientReport> {
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
    Some(ClientReport {
        requests_per_second: behind("Requests/sec:")?.parse().ok()?,
        p50: milliseconds(behind("50%")?)?,
        p99: milliseconds(behind("99%")?)?,
        busy,
    })
}

fn parts(rows: &[Row]) -> Vec<Part> {
    let head =
        "64 connections | client | >requests/s | >p50, ms | >p99, ms | >client busy";
    let row =
        |Row { load, path, client, requests_per_second: rate, p50, p99, busy }: &Row| {
            let [median, min, max] = [rate.median, rate.min, rate.max]
                .map(|rate| thousands(rate.round() as usize));
            format!(
                "{load}: `{path}` | {client} | {median} ({min} to {max}) | {:.2} | {:.2} | {:.0} %",
                p50.median,
                p99.median,
                busy.median * 100.0,
            )
        };
    vec![Part::new("client", table(head, rows.iter().map(row)), None)]
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
        let report = ClientReport {
            requests_per_second: 170_950.25,
            p50: 0.353,
            p99: 1.02,
            busy: 0.9,
        };
        assert_eq!(parse(REPORT, 0.9), Some(report));
        assert_eq!(parse("unable to connect", 0.9), None);
        let errors =
            format!("{REPORT}  Socket errors: connect 0, read 3, write 0, timeout 0\n");
        assert_eq!(parse(&errors, 0.9), None);
    }
}
