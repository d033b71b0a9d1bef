//! Idle clients of `lab hold`, in a process that reports its progress in lines of JSON. When all
//! clients have been answered once, the process waits for one line on its standard input. After
//! that line, every client sends a second request.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use load_generator::{self as load, Plan};
use samples::Hold;

/// The longest wait of a client for an answer. On an otherwise idle machine, every answer takes
/// less.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The body of every answer.
const CONTENT: &[u8] = b"Hello, World!";

/// Runs `count` clients of the server at the address `to` in this process. Prints messages about
/// the clients' progress, and returns the last message, which holds the outcome.
pub(crate) fn run(to: SocketAddr, count: usize) -> Result<Hold> {
    let plan = Plan {
        idle: count,
        timeout: TIMEOUT,
        content: Some(CONTENT.to_vec()),
        ..Plan::new(to, "/plaintext")
    };
    let held = load::hold(
        &plan,
        &mut |count| {
            let _ = say(&Hold::Answered(count)); // a message about progress may be lost
        },
        |_| {
            say(&Hold::Holding)?;
            match io::stdin().read_line(&mut String::new())? {
                0 => Err(io::Error::other(
                    "the process that started these clients is gone",
                )),
                _ => Ok(()),
            }
        },
    )?;
    Ok(Hold::Over(held))
}

fn say(message: &Hold) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(message)?)?;
    out.flush()
}
