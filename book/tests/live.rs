//! The lab in the page, tested by its HTTP requests: which requests may start a run, how a run is
//! followed, and that no process of a run is left, whether the page, the server or the run ends
//! first. The runs are fake ones that measure nothing (`--rehearse`).
#![cfg(target_os = "linux")] // processes are found in /proc

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::webdriver::served::Served;
use crate::webdriver::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The longest wait for any event of a test, longer than an event takes on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request. The functions [`get`] and [`post`] make correct requests, in which a test changes a
/// field.
#[derive(Clone, Debug)]
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    host: Option<String>,
    origin: Option<String>,
    site: Option<&'a str>,
    token: Option<String>,
    kind: Option<&'a str>,
    more: &'a str,
    body: &'a str,
}

fn get<'a>(served: &Served, path: &'a str) -> Ask<'a> {
    Ask {
        method: "GET",
        path,
        host: Some(served.address.clone()),
        origin: None,
        site: Some("same-origin"),
        token: None,
        kind: None,
        more: "",
        body: "",
    }
}

fn post<'a>(served: &Served, path: &'a str, body: &'a str) -> Ask<'a> {
    Ask {
        method: "POST",
        origin: Some(format!("http://{}", served.address)),
        token: Some(token(served)),
        kind: Some("application/json"),
        body,
        ..get(served, path)
    }
}

/// Connects to the server and sends the request. Returns the connection, for reading the answer.
fn send(served: &Served, ask: &Ask<'_>) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(&served.address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut text =
        format!("{} {} HTTP/1.1\r\nConnection: close\r\n", ask.method, ask.path);
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text += &format!("{name}: {value}\r\n");
        }
    };
    field("Host", ask.host.as_deref());
    field("Origin", ask.origin.as_deref());
    field("Sec-Fetch-Site", ask.site);
    field("X-Lab-Token", ask.token.as_deref());
    field("Content-Type", ask.kind);
    if ask.method == "POST" {
        field("Content-Length", Some(&ask.body.len().to_string()));
    }
    text += ask.more;
    text += "\r\n";
    stream.write_all(text.as_bytes())?;
    stream.write_all(ask.body.as_bytes())?;
    Ok(BufReader::new(stream))
}

/// Sends the request, and returns the answer's status and the answer's content as JSON, or null if
/// the content is not JSON.
fn ask(served: &Served, ask: &Ask<'_>) -> (u16, Value) {
    let mut text = String::new();
    send(served, ask)
        .and_then(|mut answer| answer.read_to_string(&mut text))
        .expect("an answer");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let content = text.split_once("\r\n\r\n").map_or("", |(_, content)| content);
    (status.expect("a status"), serde_json::from_str(content).unwrap_or_default())
}

/// Returns the token that a request must carry to change something.
fn token(served: &Served) -> String {
    let (status, state) = ask(served, &get(served, "/lab/state"));
    assert_eq!(status, 200, "{state}");
    state["token"].as_str().expect("a token").to_owned()
}

const READINESS: &str = r#"{"experiment": "readiness"}"#;

/// Starts a run, and returns the ID of its process.
fn start(served: &Served) -> i32 {
    let (status, why) = ask(served, &post(served, "/lab/run", READINESS));
    assert_eq!(status, 200, "{why}");
    wait(|| children(served).first().copied()).expect("a child")
}

/// Returns the IDs of the server's child processes.
fn children(served: &Served) -> Vec<i32> {
    let parent = served.child.id().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    processes
        .filter_map(number)
        .filter(|process| {
            // The text is `ID (NAME) STATE PARENT …`, and NAME may contain any character.
            let stat =
                fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let rest = stat.rsplit(')').next().unwrap_or_default();
            rest.split_whitespace().nth(1) == Some(&parent)
        })
        .collect()
}

/// Waits until the process with the ID `process` is gone. Returns false if it still exists after a
/// minute.
fn is_gone(process: i32) -> bool {
    let path = format!("/proc/{process}");
    wait(|| (!fs::exists(&path).expect("/proc")).then_some(())).is_some()
}

/// Reads the stream of events up to the line `wanted`, and returns the lines before that line.
fn until(events: &mut BufReader<TcpStream>, wanted: &str) -> Vec<String> {
    let mut before = Vec::new();
    for line in events.lines() {
        let line = line.expect("a line");
        if line == wanted {
            return before;
        }
        before.push(line);
    }
    panic!("{wanted} does not come: {before:#?}");
}

#[test]
fn only_a_page_of_this_book_may_start_a_run() {
    let served = Served::with_fake_runs("stuck");
    let right = post(&served, "/lab/run", READINESS);
    let port = served.address.rsplit(':').next().expect("a port");
    let foreign = || Some("http://example.org".to_owned());
    let wrong = [
        ("a foreign origin", Ask { origin: foreign(), ..right.clone() }),
        ("none", Ask { origin: None, ..right.clone() }),
        ("an opaque one", Ask { origin: Some("null".into()), ..right.clone() }),
        (
            "another port's",
            Ask { origin: Some("http://127.0.0.1:1".into()), ..right.clone() },
        ),
        ("two of them", Ask { more: "Origin: http://example.org\r\n", ..right.clone() }),
        (
            "a foreign host",
            Ask { host: Some(format!("example.org:{port}")), ..right.clone() },
        ),
        ("another port", Ask { host: Some("127.0.0.1:1".into()), ..right.clone() }),
        ("no token", Ask { token: None, ..right.clone() }),
        ("another token", Ask { token: Some("0".repeat(32)), ..right.clone() }),
        ("an empty token", Ask { token: Some(String::new()), ..right.clone() }),
        ("a form", Ask { kind: Some("text/plain"), ..right.clone() }),
        ("no type", Ask { kind: None, ..right.clone() }),
        ("from another site", Ask { site: Some("cross-site"), ..right.clone() }),
        ("from a neighbour", Ask { site: Some("same-site"), ..right.clone() }),
        ("typed", Ask { site: Some("none"), ..right.clone() }),
    ];
    for (what, wrong) in &wrong {
        let (status, why) = ask(&served, wrong);
        assert_eq!(status, 403, "{what}: {why}");
    }
    // A page of another site may not read the lab's state or follow a run.
    for path in ["/lab/state", "/lab/events", "/lab/results/readiness.json"] {
        let right = get(&served, path);
        for wrong in [
            Ask { host: Some("example.org".into()), ..right.clone() },
            Ask { origin: foreign(), ..right.clone() },
            Ask { site: Some("cross-site"), ..right.clone() },
        ] {
            assert_eq!(ask(&served, &wrong).0, 403, "{wrong:?}");
        }
    }
    assert_eq!(ask(&served, &Ask { method: "GET", body: "", ..right.clone() }).0, 405);
    let many = format!(r#"{{"experiment": "{}"}}"#, "x".repeat(20_000));
    assert_eq!(ask(&served, &post(&served, "/lab/run", &many)).0, 413);
    for (body, expected) in [
        ("", 400),
        ("[1]", 400),
        (r#"{"experiment": "readiness", "record": true}"#, 400),
        (r#"{"experiment": "../../bin/sh"}"#, 404),
        (r#"{"experiment": "compare"}"#, 403),
    ] {
        let (status, why) = ask(&served, &post(&served, "/lab/run", body));
        assert_eq!(status, expected, "{body}: {why}");
    }
    assert_eq!(children(&served), [] as [i32; 0]);
    // A request to the host `localhost` is admitted too, although its `Origin` has the server's
    // numeric address.
    let local = Ask { host: Some(format!("localhost:{port}")), ..right.clone() };
    assert_eq!(ask(&served, &local).0, 200);
}

#[test]
fn one_run_at_a_time_and_it_can_be_stopped() {
    let served = Served::with_fake_runs("stuck");
    let child = start(&served);
    let (status, why) = ask(&served, &post(&served, "/lab/run", READINESS));
    assert_eq!(status, 409, "{why}");
    assert_eq!(ask(&served, &get(&served, "/lab/state")).1["running"], "readiness");
    let mut events = send(&served, &get(&served, "/lab/events")).expect("a stream");
    let head = until(&mut events, "");
    assert!(
        head.iter().any(|line| line.starts_with("Content-Type: text/event-stream")),
        "{head:?}"
    );
    until(&mut events, "event: chart");
    // A run is stopped only by its number, so that a page that was suspended during an earlier
    // run cannot stop a later one.
    let number = &ask(&served, &get(&served, "/lab/state")).1["run"];
    let this = format!(r#"{{"run": {number}}}"#);
    let other = format!(r#"{{"run": {}}}"#, number.as_u64().expect("a number") - 1);
    for (wrong, status) in [(other.as_str(), 409), ("{}", 400), ("", 400)] {
        assert_eq!(ask(&served, &post(&served, "/lab/stop", wrong)).0, status, "{wrong}");
    }
    assert!(fs::exists(format!("/proc/{child}")).expect("/proc"));
    assert_eq!(ask(&served, &post(&served, "/lab/stop", &this)).0, 200);
    until(&mut events, "event: failed");
    assert!(is_gone(child), "the end was reported before the process had ended");
    // When the run has been stopped, another run can begin.
    start(&served);
}

#[test]
fn every_follower_is_sent_the_whole_run_even_a_late_one() {
    let served = Served::with_fake_runs("whole");
    start(&served);
    let [mut one, mut other] =
        [(); 2].map(|()| send(&served, &get(&served, "/lab/events")).expect("a stream"));
    let seen = until(&mut one, "event: done");
    until(&mut other, "event: done");
    let id = seen.iter().rev().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    let mut late = send(&served, &get(&served, "/lab/events")).expect("a stream");
    until(&mut late, "event: table");
    // A browser that has received all events gets the status 204, and does not ask again.
    let field = format!("Last-Event-ID: {id}\r\n");
    assert_eq!(ask(&served, &Ask { more: &field, ..get(&served, "/lab/events") }).0, 204);
    assert_eq!(children(&served), [] as [i32; 0]);
}

#[test]
fn the_reason_of_a_failure_is_reported() {
    for (how, why) in [("failing", "this was to fail"), ("dying", "without a result")] {
        let served = Served::with_fake_runs(how);
        start(&served);
        let mut events = send(&served, &get(&served, "/lab/events")).expect("a stream");
        until(&mut events, "event: failed");
        let mut data = String::new();
        events.read_line(&mut data).expect("a line");
        assert!(data.contains(why), "{data}");
    }
}

#[test]
fn a_run_without_followers_is_ended() {
    let served = Served::with_fake_runs("stuck");
    let child = start(&served);
    let mut events = send(&served, &get(&served, "/lab/events")).expect("a stream");
    until(&mut events, "event: chart");
    drop(events); // as when a reader closes the page
    assert!(is_gone(child));
}

#[test]
fn a_run_ends_with_its_server() {
    for (how, signal) in [
        ("stuck", Signal::SIGTERM),
        ("stubborn", Signal::SIGTERM),
        ("stuck", Signal::SIGKILL), // the server's end closes the run's input
    ] {
        let mut served = Served::with_fake_runs(how);
        let child = start(&served);
        let mut events = send(&served, &get(&served, "/lab/events")).expect("a stream");
        until(&mut events, "event: chart");
        kill(Pid::from_raw(served.child.id() as i32), signal).expect("a signal");
        let ended = served.child.wait().expect("an end");
        assert_eq!(ended.success(), signal == Signal::SIGTERM, "{ended}");
        assert!(is_gone(child), "{how}, {signal}");
    }
}

#[test]
fn a_prediction_is_stored_if_it_fits_the_question() {
    let served = Served::with_fake_runs("whole");
    let good = r#"{"experiment": "readiness", "prediction": {"curve": [[10, 1], [100, 2]]}, "when": "now"}"#;
    assert_eq!(ask(&served, &post(&served, "/lab/predictions", good)).0, 200);
    for bad in [
        r#"{"experiment": "readiness", "prediction": {"choice": 1}, "when": "now"}"#,
        r#"{"experiment": "readiness", "prediction": {"curve": []}, "when": "now"}"#,
        r#"{"experiment": "readiness"}"#,
        "{",
    ] {
        assert_eq!(ask(&served, &post(&served, "/lab/predictions", bad)).0, 400, "{bad}");
    }
    let kept = &ask(&served, &get(&served, "/lab/state")).1["predictions"]["readiness"];
    assert_eq!(kept["prediction"]["curve"][1][1], 2.0, "{kept}");
    // The verdict repeats the prediction, and adds the measured result as soon as there is one.
    let (_, said) = ask(&served, &post(&served, "/lab/predictions", good));
    let text = said["verdict"].as_str().expect("a verdict").to_owned();
    assert!(text.contains("You said") && !text.contains("This machine says"), "{text}");
    start(&served);
    let mut events = send(&served, &get(&served, "/lab/events")).expect("a stream");
    until(&mut events, "event: done");
    let (_, result) = ask(&served, &get(&served, "/lab/results/readiness.json"));
    let text = result["verdict"].as_str().expect("a verdict");
    assert!(text.contains("You said") && text.contains("This machine says"), "{text}");
}
