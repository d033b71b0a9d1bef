//! Tests of calls on a non-blocking socket that would block on a blocking one. The book
//! shows these tests; run them with `-- --nocapture` to see their output.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Returns the two ends of one connection.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, client))
}

// ANCHOR: nothing
#[test]
fn nothing_to_read_is_an_error() -> io::Result<()> {
    let (mut server, client) = pair()?;
    server.set_nonblocking(true)?; // O_NONBLOCK

    let error = server.read(&mut [0; 100]).expect_err("no bytes have arrived");
    println!("read from a silent client: {error}");
    assert_eq!(error.kind(), ErrorKind::WouldBlock); // EAGAIN

    drop(client); // after a client has closed, `read` returns 0, not an error
    server.set_nonblocking(false)?;
    assert_eq!(server.read(&mut [0; 100])?, 0);
    Ok(())
}
// ANCHOR_END: nothing

// ANCHOR: room
#[test]
fn a_write_takes_what_there_is_room_for() -> io::Result<()> {
    let (mut server, _client) = pair()?;
    server.set_nonblocking(true)?;

    let answer = vec![0; 1 << 30];
    let taken = server.write(&answer)?;
    println!("write of {} bytes: took {taken}", answer.len());
    assert!(taken < answer.len());
    Ok(())
}
// ANCHOR_END: room
