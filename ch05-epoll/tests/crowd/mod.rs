//! A crowd of clients that connect to a server, are idle or never read, and leave, while one client
//! stays.

use ch01_blocking::server::program::raise_descriptor_limit;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const IDLE: usize = 900;
const NEVER_READ: usize = 300;
/// The memory that the server must exceed while the clients are connected, in KiB: the server takes
/// 64 KiB for each client that does not read its answer.
const MUCH: u64 = 12 * 1024;
/// The memory that the server must fall below when the clients have left, in KiB.
const LITTLE: u64 = 8 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; dropping this value kills and reaps the process.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// Returns the server's resident anonymous memory, in KiB.
    fn memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.ok_or_else(|| io::Error::other("no RssAnon in /proc"))
    }

    fn memory_becomes(&self, what: &str, is_it: impl Fn(u64) -> bool) -> io::Result<()> {
        let start = Instant::now();
        loop {
            let memory = self.memory()?;
            if is_it(memory) {
                return Ok(());
            }
            assert!(start.elapsed() < PATIENCE, "{memory} KiB, and never {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn ask(address: SocketAddrV4, target: &str) -> io::Result<TcpStream> {
    let socket =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // The kernel gives the server a send buffer for tens of segments. On the loopback interface a
    // segment holds 64 KiB by default, so the buffers of all clients that do not read would take
    // more than a gigabyte. Beyond a limit (tcp(7), tcp_mem) the kernel drops segments of every
    // program's connections. Small segments keep the buffers small.
    setsockopt(&socket, sockopt::TcpMaxSeg, &1000)?;
    connect(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    let mut client = TcpStream::from(socket);
    write!(client, "GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")?;
    Ok(client)
}

/// Runs the server `program`, connects many clients to it, closes them, and waits until the server
/// has returned the memory to the system.
pub(crate) fn memory_goes_back(program: &str, options: &[&str]) -> io::Result<()> {
    raise_descriptor_limit();
    let mut server = Server(
        Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--max-connections", "5000"])
            .args(options)
            .args(["--idle-timeout", "3600", "--write-timeout", "3600"])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut line = String::new();
    let output = server.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().rsplit('/').next().unwrap_or_default();
    let address = address.parse().map_err(io::Error::other)?;
    let mut crowd = Vec::new();
    let mut stays = Vec::new();
    for n in 0..IDLE + NEVER_READ {
        if n % (IDLE / NEVER_READ + 1) == 0 {
            crowd.push(ask(address, "/bytes/1000000000")?);
        } else {
            let mut idle = ask(address, "/plaintext")?;
            idle.read_exact(&mut [0; 64])?;
            crowd.push(idle);
        }
    }
    // This client's connection is allocated last and stays busy: while its memory is in use, the
    // heap cannot shrink from its top.
    stays.push(ask(address, "/bytes/1000000000")?);
    server.memory_becomes("much", |kib| kib > MUCH)?;
    drop(crowd);
    server.memory_becomes("little", |kib| kib < LITTLE)
}
