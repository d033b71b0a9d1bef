//! The report of a load test, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use super::plan::{Errors, Outcome, Plan};

/// The client's processor share above which the client itself was the bottleneck.
const TOO_BUSY: f64 = 0.95;
const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Returns the report of a load test as text.
pub fn text(plan: &Plan, outcome: &Outcome) -> String {
    let seconds = outcome.elapsed.as_secs_f64();
    let each = |count: u64| count as f64 / seconds;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} of http://{}{}, {seconds:.2} s",
        describe(plan),
        plan.host,
        plan.path
    );
    let _ = writeln!(
        text,
        "requests   {:>14}   {} a second",
        with_commas(outcome.requests),
        with_commas(each(outcome.requests) as u64)
    );
    let _ = writeln!(
        text,
        "received   {:>11.1} MB   {:.1} MB a second",
        outcome.bytes as f64 / 1e6,
        each(outcome.bytes) / 1e6
    );
    let _ = write!(text, "latency    ");
    for (name, quantile) in QUANTILES {
        let value = outcome.latency.value_at_quantile(quantile);
        let _ = write!(text, "{name} {}   ", time(value));
    }
    let _ = writeln!(text, "max {}", time(outcome.latency.max()));
    let _ = writeln!(text, "errors     {}", errors(&outcome.errors));
    for sentence in remarks(plan, outcome) {
        let _ = writeln!(text, "{sentence}");
    }
    text
}

/// Returns the report of a load test as one JSON object.
pub fn json(plan: &Plan, outcome: &Outcome) -> serde_json::Result<String> {
    let seconds = outcome.elapsed.as_secs_f64();
    let mut latency = serde_json::Map::new();
    for (name, quantile) in QUANTILES {
        latency.insert(name.into(), outcome.latency.value_at_quantile(quantile).into());
    }
    latency.insert("max".into(), outcome.latency.max().into());
    serde_json::to_string_pretty(&json!({
        "url": format!("http://{}{}", plan.host, plan.path),
        "connections": plan.connections,
        "depth": plan.depth(),
        "keep_alive": plan.keep_alive,
        "idle": { "asked": plan.idle, "held": outcome.idle },
        "rate": plan.rate,
        "seconds": seconds,
        "requests": outcome.requests,
        "requests_per_second": outcome.requests as f64 / seconds,
        "bytes": outcome.bytes,
        "latency_nanoseconds": latency,
        "errors": outcome.errors,
        "unsent": outcome.unsent,
        "client_busy": outcome.client_busy,
    }))
}

fn describe(plan: &Plan) -> String {
    let mut text = format!("{} connections", with_commas(plan.connections as u64));
    text += &match (plan.keep_alive, plan.depth()) {
        (false, _) => ", a new one for each request".to_owned(),
        (true, 1) => ", one request at a time".to_owned(),
        (true, depth) => format!(", {depth} requests at a time"),
    };
    if let Some(rate) = plan.rate {
        let _ = write!(text, ", {rate} requests a second");
    }
    if plan.idle > 0 {
        let _ = write!(text, ", {} idle ones beside", with_commas(plan.idle as u64));
    }
    text
}

/// Returns warnings about circumstances that distort the measured figures, one sentence each.
fn remarks(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let mut remarks = Vec::new();
    if outcome.client_busy > TOO_BUSY {
        remarks.push(format!(
            "The client was the bottleneck, not the server: its thread was running {:.0} % of the time. The server could do more than this.",
            outcome.client_busy * 100.0
        ));
    }
    if outcome.unsent > outcome.requests / 100 {
        remarks.push(format!(
            "The server did not keep up: {} requests were due but not sent, because no connection was free. The true latencies are higher than those above.",
            with_commas(outcome.unsent)
        ));
    }
    if outcome.idle < plan.idle {
        remarks.push(format!(
            "The server kept {} of the {} idle connections.",
            with_commas(outcome.idle as u64),
            with_commas(plan.idle as u64)
        ));
    }
    if outcome.requests == 0 {
        remarks.push("No request was answered with 2xx.".to_owned());
    }
    remarks
}

fn errors(errors: &Errors) -> String {
    let kinds = [
        ("could not connect", errors.connect),
        ("reset", errors.reset),
        ("cut short", errors.cut_short),
        ("timed out", errors.timed_out),
        ("status other than 2xx", errors.status),
        ("malformed", errors.malformed),
    ];
    let some: Vec<String> = kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name}: {}", with_commas(*count)))
        .collect();
    if some.is_empty() { "none".to_owned() } else { some.join(", ") }
}

/// Formats nanoseconds in a suitable unit.
fn time(nanoseconds: u64) -> String {
    let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1e-2 => format!("{:.2} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
