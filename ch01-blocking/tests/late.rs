//! A client that was accepted in the very moment of the stop is not there for ever.

use ch01_blocking::http::Limits;
use ch01_blocking::roster::Roster;
use ch01_blocking::site::Site;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// `iterative` accepts in one thread and drains in another. So somebody may still be
/// seated when those who were there have gone, and nobody looks to the deadline any more.
#[test]
fn who_is_seated_after_all_have_gone_is_cut_off() -> io::Result<()> {
    let site = Site::new(None, Limits::default())?;
    let roster = Roster::new(&site);
    roster.drain(Duration::from_secs(3600)); // for the others; there are none
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let place = roster.seat(listener.accept()?.0, usize::MAX);
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    assert_eq!(client.read(&mut [0])?, 0, "the end");
    let slept = roster.sleep(Duration::from_secs(3600));
    assert_eq!(slept.map_err(|error| error.kind()), Err(ErrorKind::ConnectionAborted));
    drop(place);
    Ok(())
}
