//! Tests the limit of `select`: registering a descriptor of FD_SETSIZE or above fails, without
//! other effects. The test is a separate program, because it opens a thousand descriptors.

use ch03_nonblocking::poller::{Interest, Poller, Token};
use ch04_select_poll::poll::Poll;
use ch04_select_poll::select::Select;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn a_descriptor_without_a_bit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("a higher limit");
    let token = |index| Token { index, generation: 0 };
    let (mut client, inside) = UnixStream::pair().expect("a pair");

    let mut select = Select::default();
    select.register(inside.as_fd(), token(1), Interest::READ).expect("it has a bit");
    let mut held = Vec::new();
    while held.last().is_none_or(|file: &File| file.as_raw_fd() < 1021) {
        held.push(File::open("/dev/null").expect("a descriptor"));
    }
    let (_one, last) = UnixStream::pair().expect("a pair"); // 1022 and 1023
    let (mut other, beyond) = UnixStream::pair().expect("a pair");
    assert_eq!((last.as_raw_fd(), beyond.as_raw_fd()), (1023, 1025));
    let all = Interest::READ | Interest::WRITE;
    select.register(last.as_fd(), token(2), Interest::READ).expect("the last bit");
    for _ in 0..3 {
        select.register(beyond.as_fd(), token(3), all).expect_err("it has no bit");
    }

    // Descriptors below the limit are reported, the descriptor above the limit is not.
    let mut ready = Vec::new();
    other.write_all(b"word").expect("sent");
    select.wait(&mut ready, Some(Duration::ZERO)).expect("no error");
    assert_eq!(ready, []);
    client.write_all(b"word").expect("sent");
    select.wait(&mut ready, None).expect("no error");
    assert_eq!(ready.iter().map(|ready| ready.token).collect::<Vec<_>>(), [token(1)]);

    // `poll` has no such limit: it reports the same descriptor.
    let mut poll = Poll::default();
    poll.register(beyond.as_fd(), token(3), Interest::READ).expect("a line in the list");
    ready.clear();
    poll.wait(&mut ready, None).expect("no error");
    assert_eq!(ready.iter().map(|ready| ready.token).collect::<Vec<_>>(), [token(3)]);
}
