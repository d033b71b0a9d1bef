//! Tests the command `check` on servers that offer little or nothing: a case whose feature is
//! missing does not pass, and a server that hangs costs minutes at most.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use client_suite::judge::Hangs;
use client_suite::judge::Outcome;
use client_suite::profile::PROFILES;
use client_suite::target::fill_placeholders;
use client_suite::verdict::Abort;
use serde_json::Value;

/// Starts a server that calls `handle` with each connection, on a separate thread, as long as the
/// test runs. Returns its address.
fn serve(handle: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// Answers one request, `/plaintext` with its content and every other target with 404, and then
/// closes the connection.
fn plaintext_only(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let (status, content) = match head.starts_with(b"GET /plaintext HTTP/1.1\r\n") {
        true => ("200 OK", "Hello, World!"),
        false => ("404 Not Found", ""),
    };
    let length = content.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}"
    );
    let _ = stream.write_all(answer.as_bytes());
}

fn check(address: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_client-suite"))
        .args(["check", "--timeout", "1", "--url", &format!("http://{address}")])
        .args(arguments)
        .output()
        .expect("the suite runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn a_server_that_closes_every_connection_fails_in_every_format() {
    let address = serve(drop);
    let family = ["--family", "pipelining"];
    let output = check(address, &family);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(
        said.contains("0 promises kept, 0 broken, ") && said.contains("not offered"),
        "{said}"
    );
    assert!(said.contains("/plaintext (it did not respond)"), "{said}");
    assert!(said.contains("no promise was kept"), "{said}");

    let report = json(&check(address, &[&family[..], &["--format", "json"]].concat()));
    assert_eq!(report["passed"], false);
    assert_eq!((&report["held"], &report["broken"]), (&0.into(), &0.into()));
    assert!(report["missing"].as_u64() > Some(0), "{report}");

    let said = text(&check(address, &[&family[..], &["--format", "junit"]].concat()));
    assert!(!said.contains("failures=\"0\""), "{said}");
    assert!(said.contains("<failure type=\"missing\""), "{said}");
}

#[test]
fn nothing_kept_is_a_failure_even_if_all_of_it_may_be_missing() {
    let address = serve(drop);
    let all = "plaintext,echo,sleep,bytes,stats,panic,files,options";
    let arguments = ["--family", "pipelining", "--allow-missing", all];
    let output = check(address, &arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("0 promises kept, 0 broken, ")
            && said.contains("no promise was kept"),
        "{said}"
    );
    let said = text(&check(address, &[&arguments[..], &["--format", "junit"]].concat()));
    assert!(
        said.contains("failures=\"1\"")
            && said.contains("<failure type=\"nothing kept\""),
        "{said}"
    );
}

#[test]
fn what_may_be_missing_is_named() {
    let address = serve(plaintext_only);
    let case = ["--family", "routes", "--name", "plaintext"];
    let kept = check(address, &case);
    // The case `routes::plaintext` needs only /plaintext, which the server offers.
    let said = text(&kept);
    assert!(said.contains("ok      routes::plaintext"), "{said}");
    let echo = ["--family", "bodies"];
    let said = text(&check(address, &echo));
    assert!(said.contains("MISSING bodies::"), "{said}");
    assert!(
        said.contains(
            "the server does not offer /echo (it sent status 404) (--allow-missing echo"
        ),
        "{said}"
    );
    let said = text(&check(address, &[&echo[..], &["--allow-missing", "echo"]].concat()));
    assert!(
        said.contains("skipped bodies::")
            && !said.contains("/echo (it sent status 404) (--allow"),
        "{said}"
    );
    let output = check(address, &["--allow-missing", "ecko"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_filter_that_finds_no_case_is_an_error() {
    let output = check(serve(drop), &["--name", "no_such_case"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("client-suite list"));
}

/// Keeps a connection open without sending anything.
fn silent(stream: TcpStream) {
    thread::sleep(Duration::from_secs(600));
    drop(stream);
}

#[test]
fn after_three_hangs_the_rest_of_a_family_is_not_reached() {
    let family = "request_line";
    let output = check(serve(silent), &["--family", family, "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = json(&output);
    assert_eq!(report["broken"], 3, "{report}");
    assert!(report["not_reached"].as_u64() > Some(0), "{report}");
    // A case that was tried took a second or more, because it waited for the suite's timeout; a
    // case that was not tried took no time.
    for case in report["cases"].as_array().expect("cases") {
        let seconds = case["seconds"].as_f64().expect("a time");
        assert_eq!(seconds >= 1.0, case["outcome"] == "broken", "{case}");
    }
}

#[test]
fn every_report_has_the_times() {
    let address = serve(plaintext_only);
    let arguments = ["--family", "routes", "--name", "plaintext"];
    let said = text(&check(address, &[&arguments[..], &["--slowest", "1"]].concat()));
    let (_, slowest) = said.split_once("The slowest:\n").expect("the slowest");
    assert_eq!(slowest.lines().count(), 1, "{said}");
    assert!(slowest.contains(" s  routes::"), "{said}");
    let said = text(&check(address, &[&arguments[..], &["--format", "junit"]].concat()));
    let cases = said.matches("<testcase ").count();
    assert_eq!(said.matches(" time=\"").count(), cases + 1, "{said}");
}

#[test]
fn a_command_without_an_option_s_placeholder_says_how_to_add_it() {
    let filled = fill_placeholders(
        "server --port {port}",
        80,
        "/root".as_ref(),
        &[("head-timeout", "2")],
    );
    let Err(Abort::Missing(missing)) = filled else { panic!("{filled:?}") };
    assert_eq!(missing.name, "head-timeout");
    assert!(missing.why.contains("--head-timeout {head-timeout}"), "{}", missing.why);
}

#[test]
fn only_failures_that_took_the_timeout_are_hangs() {
    let case = client_suite::cases::all().remove(0);
    let hangs = Hangs::default();
    for _ in 0..3 {
        hangs.record(&case, &Outcome::Passed, Duration::from_secs(1000));
    }
    assert!(!hangs.exhausted(&case));
}

#[test]
fn every_server_of_the_book_has_its_file() {
    let top =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
    for profile in PROFILES {
        let file = profile.source().expect("a file");
        assert!(top.join(file).is_file(), "{}: {file}", profile.name);
    }
}

/// Returns whether a process runs whose command line contains `text`.
#[cfg(target_os = "linux")]
fn runs(text: &str) -> bool {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut lines =
        all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(text))
}

// An interrupt often comes while a server is being started. Every server here closes each
// connection, so cases end at once and servers are started all the time.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_no_server() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("server");
    let text =
        format!("#!/bin/sh\necho listening on http://{}\nsleep 1000\n", serve(drop));
    client_suite::scripts::write_script(&script, &text).expect("a script");
    let name = format!("/bin/sh\0{}", script.display());
    for _ in 0..5 {
        let mut suite = Command::new(env!("CARGO_BIN_EXE_client-suite"))
            .args(["check", "--timeout", "1", "--jobs", "32", "--bin"])
            .arg(&script)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("the suite runs");
        while !runs(&name) {
            thread::sleep(Duration::from_millis(1));
        }
        let id = i32::try_from(suite.id()).expect("a process ID");
        kill(Pid::from_raw(id), Signal::SIGINT).expect("a signal");
        assert_eq!(suite.wait().expect("its status").code(), Some(130));
        let start = std::time::Instant::now();
        while runs(&name) {
            assert!(start.elapsed() < Duration::from_secs(30), "a server runs on");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
