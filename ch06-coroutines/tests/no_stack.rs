//! Tests a server whose address space is too small for a whole region of stacks: it serves clients
//! on the stacks for which there is room, and answers the other clients 503.
#![cfg(target_os = "linux")] // other systems do not enforce a limit on addresses

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Bytes of a stack: so many that the address space has room for some stacks, but not for the 64
/// stacks of a pool's first region.
const STACK: &str = "16000000";
const ADDRESSES: usize = 700_000; // KiB, of which the program itself takes a part
/// The number of clients: more than there are stacks for.
const CLIENTS: usize = 64;

/// A server process and the server's address. Dropping this value kills the process.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill(); // an error means that the server has ended
        let _ = self.0.wait();
    }
}

fn start() -> io::Result<Server> {
    let program = env!("CARGO_BIN_EXE_coroutine");
    let script = format!(
        "ulimit -v {ADDRESSES} && exec {program} --listen 127.0.0.1:0 --threads 1 --stack {STACK} --idle-timeout 1 --head-timeout 60"
    );
    let mut child =
        Command::new("/bin/sh").args(["-c", &script]).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
    let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Server(child, address))
}

/// Sends a request, and returns the status of the response.
fn ask(client: &mut TcpStream, request: &str) -> io::Result<String> {
    client.write_all(request.as_bytes())?;
    let mut status = [0; 12];
    client.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status[9..]).into_owned())
}

#[test]
fn a_client_without_a_stack_gets_503() -> io::Result<()> {
    let server = start()?;
    let connect = || -> io::Result<TcpStream> {
        let client = TcpStream::connect(&server.1)?;
        client.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(client)
    };
    // Each client that is served keeps its stack, because the rest of its request never
    // arrives.
    let mut stalled = Vec::new();
    let (mut served, mut refused) = (0, 0);
    for _ in 0..CLIENTS {
        let mut client = connect()?;
        let both = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\nGET /plain";
        match ask(&mut client, both)?.as_str() {
            "200" => served += 1,
            "503" => refused += 1,
            other => return Err(io::Error::other(format!("answered {other}"))),
        }
        stalled.push(client);
    }
    assert!(served >= 8, "only {served} of {CLIENTS} were served");
    assert!(refused > 0, "there was room for all: nothing was tested");
    // A client that sends no request is closed after its idle time, without an answer, even if
    // there is no stack for it.
    let mut answer = Vec::new();
    connect()?.read_to_end(&mut answer)?;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    drop(stalled);
    loop {
        let mut client = connect()?;
        match ask(&mut client, "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n") {
            Ok(status) if status == "200" => return Ok(()),
            Ok(_) => {} // the stacks of the other clients are not returned yet
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
}
