//! The floor on io_uring: a program that does what the peer `floor` does, with completions in place
//! of readiness.
//!
//! The program has one thread and one ring, set up as io_uring_setup(2) recommends for a single
//! thread. One request to the kernel accepts all clients, and one request for each client receives
//! whatever the client sends, into buffers that the kernel picks from a pool
//! (io_uring_multishot(7)). All responses of a round are submitted with the call that waits for the
//! next completions. So the program makes one system call for each round, and none for each HTTP
//! request. Like `floor`, it parses nothing and has no limit and no deadline.

use std::alloc::{Layout, alloc_zeroed};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicU16, Ordering::Release};

use io_uring::squeue::Flags;
use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use peers::{HELLO, TEXT, announce, listen, options};

/// Maximum number of responses sent per request to the kernel.
const BURST: usize = 128;
/// Maximum number of requests to the kernel that can be submitted with one call.
const SUBMISSIONS: u32 = 4096;
/// Number of entries in the completion queue.
const COMPLETIONS: u32 = 32 * 1024;
/// The number of buffers in the pool, a power of two. [`SIZE`] is the size of each buffer in bytes.
const BUFFERS: u16 = 1024;
const SIZE: usize = 4096;
/// The number by which requests to the kernel name the pool.
const POOL: u16 = 0;
/// The token of completions for the listener. [`IGNORED`] is the token of completions that need no
/// reaction; every other token is the descriptor of a client.
const LISTENER: u64 = u64::MAX;
const IGNORED: u64 = u64::MAX - 1;

/// A connection, and the number of bytes of its current request that have arrived.
struct Client {
    socket: TcpStream,
    /// The length of each request in bytes, or 0 until the first request is complete.
    length: usize,
    pending: usize,
}

/// Buffers that the kernel picks from, in the order in which the program gave them to the kernel.
struct Pool {
    bytes: Vec<u8>,
    ring: *mut BufRingEntry,
    tail: u16,
}

fn main() -> io::Result<()> {
    let options = options();
    let listener = listen(options.listen)?;
    listener.set_nonblocking(false)?;
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(COMPLETIONS)
        .build(SUBMISSIONS)?;
    let pool = Pool::new(&ring)?;
    announce(listener.local_addr()?)?;
    serve(&listener, &mut ring, pool)
}

fn serve(listener: &TcpListener, ring: &mut IoUring, mut pool: Pool) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: {}\r\n\
         Content-Type: {TEXT}\r\n\r\n{HELLO}",
        HELLO.len()
    );
    // The responses live as long as the program, because the kernel reads them during a send.
    let answers: &'static [u8] = answer.repeat(BURST).into_bytes().leak();
    let mut clients: Vec<Option<Client>> = Vec::new();
    let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).build();
    push(ring, accept.clone().user_data(LISTENER))?;
    let mut completions = Vec::new();
    loop {
        match ring.submit_and_wait(1) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            submitted => submitted?,
        };
        completions.extend(ring.completion());
        for completion in completions.drain(..) {
            let (token, result) = (completion.user_data(), completion.result());
            let flags = completion.flags();
            if token == LISTENER {
                if result >= 0 {
                    // SAFETY: the kernel has just created this descriptor for this program, so no
                    // other value owns it.
                    let socket = unsafe { TcpStream::from_raw_fd(result) };
                    let place = result as usize;
                    if clients.len() <= place {
                        clients.resize_with(place + 1, || None);
                    }
                    clients[place] = Some(Client { socket, length: 0, pending: 0 });
                    push(ring, receive(result))?;
                }
                if !cqueue::more(flags) {
                    push(ring, accept.clone().user_data(LISTENER))?;
                }
                continue;
            }
            let buffer = cqueue::buffer_select(flags);
            if token == IGNORED {
                continue; // sending failed: the client has reset or closed the connection
            }
            let place = &mut clients[token as usize];
            let Some(client) = place else { continue };
            let ended = match (result, buffer) {
                (1.., Some(buffer)) => {
                    let bytes = pool.bytes(buffer, result as usize);
                    client.received(bytes).map(Some)
                }
                (result, _) if result == -libc::ENOBUFS => Ok(Some(0)),
                _ => Ok(None),
            };
            if let Some(buffer) = buffer {
                pool.give_back(buffer);
            }
            let socket = client.socket.as_raw_fd();
            match ended {
                Ok(Some(mut ended)) => {
                    while ended > 0 {
                        let burst = ended.min(BURST);
                        push(ring, send(socket, &answers[..burst * answer.len()]))?;
                        ended -= burst;
                    }
                    if !cqueue::more(flags) {
                        push(ring, receive(socket))?;
                    }
                }
                Ok(None) => *place = None, // the client's receive request in the kernel has ended
                // The shutdown ends the client's receive request, and the completion of that
                // request closes the connection.
                Err(_) => drop(client.socket.shutdown(Shutdown::Both)),
            }
        }
    }
}

/// Returns a request to the kernel that receives into buffers of the pool, again and again, until
/// the connection ends.
fn receive(socket: i32) -> squeue::Entry {
    opcode::RecvMulti::new(Fd(socket), POOL).build().user_data(socket as u64)
}

/// Returns a request to the kernel that sends all of `bytes`. Only a failure produces a completion.
fn send(socket: i32, bytes: &'static [u8]) -> squeue::Entry {
    let send = opcode::Send::new(Fd(socket), bytes.as_ptr(), bytes.len() as u32);
    let send = send.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build();
    send.flags(Flags::SKIP_SUCCESS).user_data(IGNORED)
}

/// Adds a request to the ring. While the ring is full, submits the requests in it.
fn push(ring: &mut IoUring, entry: squeue::Entry) -> io::Result<()> {
    // SAFETY: the buffers of a request are those of the pool or the leaked responses, which live as
    // long as the program.
    while unsafe { ring.submission().push(&entry) }.is_err() {
        ring.submit()?;
    }
    Ok(())
}

impl Client {
    /// Returns the number of requests that these bytes complete.
    fn received(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length == 0 {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            // The first request must arrive in one piece, as it does from the book's client.
            self.length = end.ok_or(ErrorKind::InvalidData)? + 4;
        }
        self.pending += bytes.len();
        let ended = self.pending / self.length;
        self.pending %= self.length;
        Ok(ended)
    }
}

impl Pool {
    fn new(ring: &IoUring) -> io::Result<Pool> {
        let bytes = usize::from(BUFFERS) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(bytes, 4096).map_err(io::Error::other)?;
        // SAFETY: the size of the layout is not zero. The memory is never freed, because the kernel
        // uses it as long as the program runs.
        let entries = unsafe { alloc_zeroed(layout) };
        if entries.is_null() {
            return Err(ErrorKind::OutOfMemory.into());
        }
        // SAFETY: `entries` points to `BUFFERS` zeroed entries that begin at a page boundary and
        // are never freed.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                entries as u64,
                BUFFERS,
                POOL,
                0,
            )
        }?;
        let bytes = vec![0; usize::from(BUFFERS) * SIZE];
        let mut pool = Pool { bytes, ring: entries.cast(), tail: 0 };
        (0..BUFFERS).for_each(|buffer| pool.give_back(buffer));
        Ok(pool)
    }

    /// Returns the first `length` bytes of a buffer, into which the kernel has received them.
    fn bytes(&self, buffer: u16, length: usize) -> &[u8] {
        &self.bytes[usize::from(buffer) * SIZE..][..length]
    }

    /// Gives a buffer back to the kernel.
    fn give_back(&mut self, buffer: u16) {
        let place = usize::from(self.tail % BUFFERS);
        // SAFETY: `place` is less than `BUFFERS`, so the pointer stays within the entries, which
        // only this program writes.
        let entry = unsafe { &mut *self.ring.add(place) };
        entry.set_addr(self.bytes[usize::from(buffer) * SIZE..].as_ptr() as u64);
        entry.set_len(SIZE as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `self.ring` is the address of the first entry, in which the tail lies.
        let tail = unsafe { BufRingEntry::tail(self.ring) };
        // SAFETY: the tail lies in the first entry, is aligned, and the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Release);
    }
}
