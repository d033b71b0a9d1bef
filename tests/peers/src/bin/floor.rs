//! The floor: what the kernel alone costs.
//!
//! The program has one thread and one epoll instance (level-triggered). It takes the length of a
//! connection's first request (up to the first empty line) as the length of all requests that
//! follow, so it counts these by the number of bytes received, and answers each request with the
//! same bytes. The program parses no request and refuses none, has no limit, no deadline, no clock
//! (its `Date` is constant), and no files. A client that does not read its response immediately is
//! disconnected.
//!
//! Each round of the program calls epoll_wait(2) once, and recv(2) and send(2) for each connection
//! with a request. No server that is built from these three calls can be cheaper. What a real
//! server costs beyond this program is the cost of HTTP, and of what the server's author has added.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use peers::{HELLO, TEXT, announce, listen, options};

/// Events fetched per `epoll_wait`; any others are fetched by the next call.
const MAX_EVENTS: usize = 512;
/// Maximum number of responses sent per write.
const BURST: usize = 128;
/// Maximum number of bytes read per call.
const SCRATCH: usize = 16 * 1024;

/// The listener's token; the other tokens are the connections' descriptors.
const LISTENER: u64 = u64::MAX;

/// A connection, and the number of bytes of its current request that have arrived.
struct Client {
    socket: TcpStream,
    /// The length of each request in bytes, or 0 until the first request is complete.
    length: usize,
    pending: usize,
}

fn main() -> io::Result<()> {
    let options = options();
    let listener = listen(options.listen)?;
    announce(listener.local_addr()?)?;
    serve(&listener)
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: {}\r\n\
         Content-Type: {TEXT}\r\n\r\n{HELLO}",
        HELLO.len()
    );
    let answers = answer.repeat(BURST).into_bytes();
    let mut scratch = vec![0; SCRATCH];
    let mut clients: Vec<Option<Client>> = Vec::new();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut events = vec![EpollEvent::empty(); MAX_EVENTS];
    loop {
        let found = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..found] {
            if event.data() == LISTENER {
                accept(listener, &epoll, &mut clients)?;
                continue;
            }
            let place = &mut clients[event.data() as usize];
            let Some(client) = place else { continue };
            if client.turn(&mut scratch, &answers, answer.len()).is_err() {
                *place = None; // Closing the socket deregisters it (epoll(7)).
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    clients: &mut Vec<Option<Client>>,
) -> io::Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        socket.set_nonblocking(true)?;
        let place = socket.as_raw_fd() as usize;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
        if clients.len() <= place {
            clients.resize_with(place + 1, || None);
        }
        clients[place] = Some(Client { socket, length: 0, pending: 0 });
    }
}

impl Client {
    // ANCHOR: turn
    /// Reads once, and sends a response for each complete request. The caller closes the
    /// connection if this function returns an error.
    fn turn(
        &mut self,
        scratch: &mut [u8],
        answers: &[u8],
        each: usize,
    ) -> io::Result<()> {
        let received = self.socket.read(scratch)?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.length == 0 {
            let end = scratch[..received].windows(4).position(|four| four == b"\r\n\r\n");
            // The first request must arrive in one read, as it does from the book's
            // client.
            self.length = end.ok_or(ErrorKind::InvalidData)? + 4;
        }
        self.pending += received;
        let mut ended = self.pending / self.length;
        self.pending %= self.length;
        while ended > 0 {
            let burst = ended.min(answers.len() / each);
            self.socket.write_all(&answers[..burst * each])?;
            ended -= burst;
        }
        Ok(())
    }
    // ANCHOR_END: turn
}
