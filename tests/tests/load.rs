//! Tests of the load generator, against servers that misbehave in known ways: every request is
//! counted, and every failure under its kind.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use load_generator::{Errors, HoldOutcome, Outcome, Phase, Plan, hold, run};

type Done = Result<(), Box<dyn Error>>;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
const CLOSING: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nHi";

/// The way in which a server treats a request. The number says how many requests have arrived
/// earlier on the same connection. Returns whether the connection stays open.
type Behavior = fn(&mut TcpStream, usize) -> std::io::Result<bool>;

/// A function that returns the number of errors of one kind.
type Kind = fn(&Errors) -> u64;

/// A server, and its counters of connections and requests.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

/// Starts a server with one thread per connection. The server ends with this process.
fn server(behavior: Behavior) -> Result<Server, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = Server {
        address: listener.local_addr()?,
        connections: Arc::default(),
        requests: Arc::default(),
    };
    let (connections, requests) = (server.connections.clone(), server.requests.clone());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            connections.fetch_add(1, SeqCst);
            let requests = requests.clone();
            thread::spawn(move || serve(client, behavior, &requests));
        }
    });
    Ok(server)
}

fn serve(
    mut client: TcpStream,
    behavior: Behavior,
    all: &AtomicU64,
) -> std::io::Result<()> {
    let (mut inbox, mut piece, mut here) = (Vec::new(), [0; 4096], 0);
    loop {
        while let Some(end) = inbox.windows(4).position(|four| four == b"\r\n\r\n") {
            inbox.drain(..end + 4);
            all.fetch_add(1, SeqCst);
            if !behavior(&mut client, here)? {
                return Ok(());
            }
            here += 1;
        }
        match client.read(&mut piece)? {
            0 => return Ok(()),
            n => inbox.extend_from_slice(&piece[..n]),
        }
    }
}

fn respond(client: &mut TcpStream, _: usize) -> std::io::Result<bool> {
    client.write_all(ANSWER).map(|()| true)
}

fn reset(client: &TcpStream) -> std::io::Result<bool> {
    socket2::SockRef::from(client).set_linger(Some(Duration::ZERO))?;
    Ok(false)
}

/// Runs four clients for 0.2 s. Returns the outcome, and the number of requests that the server
/// counted in the measured time.
fn measure(
    server: &Server,
    change: impl FnOnce(Plan) -> Plan,
) -> std::io::Result<(Outcome, u64)> {
    let plan = change(Plan {
        connections: 4,
        timeout: Duration::from_secs(60),
        warm_up: Duration::from_millis(20),
        time: Duration::from_millis(200),
        ..Plan::new(server.address, "/anything")
    });
    let mut marks = Vec::new();
    let outcome = run(&plan, &mut |phase| match phase {
        Phase::Measuring { done } if !done.is_zero() => {}
        Phase::Measuring { .. } | Phase::Finished => {
            marks.push(server.requests.load(SeqCst))
        }
        _ => {}
    })?;
    Ok((outcome, marks[1] - marks[0]))
}

/// Measures a server with the behavior `behavior` until an error of the kind `kind` occurs, and
/// checks that no error of another kind occurs.
fn assert_only(
    behavior: Behavior,
    kind: fn(&mut Errors) -> &mut u64,
    timeout: u64,
) -> Done {
    let server = server(behavior)?;
    let timeout = Duration::from_millis(timeout);
    loop {
        let (outcome, received) = measure(&server, |plan| Plan { timeout, ..plan })?;
        let mut others = outcome.errors;
        let count = std::mem::take(kind(&mut others));
        assert_eq!(others, Errors::default());
        // Every request that the server received was either answered or failed.
        assert_eq!(outcome.requests + count, received);
        if count > 0 {
            return Ok(());
        }
        // On a very busy machine, the error may not occur within the 0.2 s: measure again.
    }
}

#[test]
fn counts_what_the_server_counts() -> Done {
    let server = server(respond)?;
    for depth in [1, 5] {
        let (outcome, received) = measure(&server, |plan| Plan { depth, ..plan })?;
        assert!(received > 0);
        assert_eq!(outcome.requests, received);
        assert_eq!(outcome.bytes, received * ANSWER.len() as u64);
        assert_eq!(outcome.latency.len(), received);
        assert_eq!(outcome.errors, Errors::default());
    }
    Ok(())
}

#[test]
fn a_connection_for_each_request() -> Done {
    let server = server(|client, _| client.write_all(CLOSING).map(|()| false))?;
    let (outcome, received) =
        measure(&server, |plan| Plan { keep_alive: false, ..plan })?;
    assert!(received > 0);
    assert_eq!((outcome.requests, outcome.errors), (received, Errors::default()));
    // The load generator opens one more connection, only to check that a server listens, and sends
    // no request on it.
    assert_eq!(server.connections.load(SeqCst), server.requests.load(SeqCst) + 1);
    Ok(())
}

#[test]
fn a_server_that_closes_as_it_said_is_asked_on_a_new_connection() -> Done {
    let behavior: Behavior = |client, here| match here {
        0..3 => respond(client, here),
        _ => client.write_all(CLOSING).map(|()| false),
    };
    let server = server(behavior)?;
    let (outcome, received) = measure(&server, |plan| plan)?;
    assert!(received > 0);
    assert_eq!((outcome.requests, outcome.errors), (received, Errors::default()));
    Ok(())
}

#[test]
fn a_reset_is_a_reset() -> Done {
    let behavior: Behavior = |client, here| match here {
        0..3 => respond(client, here),
        _ => reset(client),
    };
    assert_only(behavior, |errors| &mut errors.reset, 60_000)
}

#[test]
fn half_an_answer_is_cut_short() -> Done {
    let behavior: Behavior = |client, here| match here {
        0..3 => respond(client, here),
        _ => client.write_all(&ANSWER[..ANSWER.len() - 1]).map(|()| false),
    };
    assert_only(behavior, |errors| &mut errors.cut_short, 60_000)
}

#[test]
fn another_status_is_not_good() -> Done {
    let behavior: Behavior = |client, here| match here % 2 {
        0 => respond(client, here),
        _ => client
            .write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            .map(|()| true),
    };
    assert_only(behavior, |errors| &mut errors.status, 60_000)
}

#[test]
fn silence_is_timed_out() -> Done {
    // The server answers the first request of a connection, because the load generator waits for
    // that response when it connects. Every later request stays without a response and times out.
    let behavior: Behavior =
        |client, here| if here == 0 { respond(client, here) } else { Ok(true) };
    assert_only(behavior, |errors| &mut errors.timed_out, 50)
}

#[test]
fn gibberish_is_malformed() -> Done {
    let behavior: Behavior = |client, here| match here {
        0..3 => respond(client, here),
        _ => client.write_all(b"220 mail.example ESMTP\r\n\r\n").map(|()| true),
    };
    assert_only(behavior, |errors| &mut errors.malformed, 60_000)
}

#[test]
fn more_responses_than_requests_are_malformed() -> Done {
    let behavior: Behavior =
        |client, _| client.write_all(&ANSWER.repeat(2)).map(|()| true);
    let server = server(behavior)?;
    // A surplus response that arrives after the next request counts as the response to that
    // request, so not every surplus response is detected.
    while measure(&server, |plan| plan)?.0.errors.malformed == 0 {}
    Ok(())
}

#[test]
fn idle_connections_ask_once() -> Done {
    let server = server(respond)?;
    let (outcome, received) = measure(&server, |plan| Plan { idle: 30, ..plan })?;
    assert_eq!((outcome.idle, outcome.requests), (30, received));
    assert_eq!(server.connections.load(SeqCst), 30 + 4 + 1);
    Ok(())
}

#[test]
fn held_connections_send_at_the_start_and_at_the_end() -> Done {
    let server = server(respond)?;
    let plan = Plan {
        idle: 30,
        content: Some(b"Hello, World!".to_vec()),
        ..Plan::new(server.address, "/anything")
    };
    let held = hold(&plan, &mut |_| {}, |opened| {
        assert_eq!((opened, server.requests.load(SeqCst)), (30, 30));
        Ok(())
    })?;
    assert_eq!(held, HoldOutcome { opened: 30, kept: 30, errors: Errors::default() });
    assert_eq!(server.connections.load(SeqCst), 30);
    assert_eq!(server.requests.load(SeqCst), 60);
    Ok(())
}

#[test]
fn a_connection_lost_while_held_is_counted() -> Done {
    // The server does not answer the second request of each connection, or answers it with the
    // wrong content.
    let ends: [(Behavior, Kind); 2] = [
        (
            |client, here| if here == 0 { respond(client, here) } else { Ok(false) },
            |errors| errors.cut_short + errors.reset,
        ),
        (
            |client, here| match here {
                0 => respond(client, here),
                _ => client
                    .write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, Wordl!",
                    )
                    .map(|()| true),
            },
            |errors| errors.malformed,
        ),
    ];
    for (behavior, kind) in ends {
        let server = server(behavior)?;
        let plan = Plan {
            idle: 5,
            content: Some(b"Hello, World!".to_vec()),
            ..Plan::new(server.address, "/")
        };
        let held = hold(&plan, &mut |_| {}, |_| Ok(()))?;
        assert_eq!((held.opened, held.kept), (5, 0));
        assert_eq!((kind(&held.errors), held.errors.total()), (5, 5));
    }
    Ok(())
}

#[test]
fn every_due_request_is_sent_or_counted_as_unsent() -> Done {
    let server = server(respond)?;
    let (outcome, received) =
        measure(&server, |plan| Plan { rate: Some(500.0), ..plan })?;
    assert_eq!(outcome.requests, received);
    assert_eq!(outcome.requests + outcome.unsent, 100);
    Ok(())
}

#[test]
fn a_rejection_before_the_request_counts_as_a_status() -> Done {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                client.write_all(
                    b"HTTP/1.1 503 Full\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                )?;
                // Wait until the client closes: closing with unread input would send a reset.
                std::io::copy(&mut client, &mut std::io::sink())
            });
        }
    });
    let server =
        Server { address, connections: Arc::default(), requests: Arc::default() };
    let (outcome, _) = measure(&server, |plan| Plan { rate: Some(500.0), ..plan })?;
    let Errors { status, .. } = outcome.errors;
    assert!(status > 0);
    assert_eq!(outcome.errors, Errors { status, ..Errors::default() });
    Ok(())
}

#[test]
fn a_stall_counts_for_every_request_due_during_it() -> Done {
    let behavior: Behavior = |client, here| {
        if here == 1 {
            thread::sleep(Duration::from_millis(500));
        }
        respond(client, here)
    };
    let server = server(behavior)?;
    let time = Duration::from_secs(1);
    let (connections, warm_up) = (1, Duration::ZERO);
    let (outcome, _) = measure(&server, |plan| Plan {
        connections,
        warm_up,
        time,
        rate: Some(100.0),
        ..plan
    })?;
    // Requests that were due in the first 0.4 s waited more than 0.1 s, because the server slept
    // for 0.5 s before it answered.
    let slow = outcome.latency.count_between(100_000_000, u64::MAX);
    assert!(slow + outcome.unsent >= 40, "{slow} slow, {} not sent", outcome.unsent);
    assert_eq!(outcome.requests + outcome.unsent, 100);
    Ok(())
}

#[test]
fn the_command_reports() -> Done {
    let server = server(respond)?;
    let url = format!("http://{}/path", server.address);
    let command = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_client-suite"))
            .args(["load", &url, "--time", "0.1", "--warm-up", "0", "--connections", "3"])
            .args(more)
            .output()
    };
    let output = command(&["--json"])?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        (report["url"].as_str(), report["connections"].as_u64()),
        (Some(&*url), Some(3))
    );
    assert!(report["requests"].as_u64() > Some(0), "{report}");
    assert_eq!(report["errors"]["reset"], 0);
    assert!(output.stderr.is_empty(), "progress is drawn on terminals only");

    let text = String::from_utf8(command(&[])?.stdout)?;
    assert!(text.contains("errors     none"), "{text}");
    Ok(())
}

#[test]
fn no_server_is_reported_in_one_line() -> Done {
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let output = Command::new(env!("CARGO_BIN_EXE_client-suite"))
        .args(["load", &format!("http://{free}/")])
        .output()?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!((stderr.lines().count(), output.status.code()), (1, Some(2)), "{stderr}");
    Ok(())
}

#[test]
fn too_few_descriptors_are_reported_in_one_line() -> Done {
    let server = server(respond)?;
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 100; exec \"$0\" load \"$1\" --connections 100"])
        .args([
            env!("CARGO_BIN_EXE_client-suite"),
            &format!("http://{}/", server.address),
        ])
        .output()?;
    let stderr = String::from_utf8(output.stderr)?;
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("ulimit -Hn"), "{stderr}");
    Ok(())
}
