//! Tests of system calls that fail: a filter makes the kernel refuse a system call of
//! one thread, and of the threads that this thread starts (seccomp(2)).
#![cfg(target_os = "linux")] // other systems have other filters
#![allow(unsafe_code)] // prctl(2) takes a pointer to the filter

use ch01_blocking::http::{Inbox, Parsed};
use ch01_blocking::program::Cli;
use ch01_blocking::{Listener, Options, Stop, thread as server};
use clap::Parser;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Makes the system call `call` fail with `error` in this thread, and in threads that
/// this thread starts, from now on. Returns whether the kernel has accepted the filter;
/// an emulator does not.
fn refuse(call: libc::c_long, error: libc::c_int) -> bool {
    let statement =
        |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, jump, end) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut filter = [
        statement(load, 0, 0, 0), // the call's number is the first field of `seccomp_data`
        statement(jump, 0, 1, call as u32),
        statement(end, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        statement(end, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program =
        libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes numbers, no pointer.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the kernel copies the filter program during the call, and the program and
    // its statements live until the call returns.
    let filtered = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    (set, filtered) == (0, 0)
}

fn options(root: &Path) -> Options {
    Cli::parse_from(["refused".as_ref(), "--root".as_ref(), root.as_os_str()]).options
}

/// Sends a request for `target` over a new connection, and returns the answer.
fn ask(address: SocketAddr, target: &str) -> io::Result<Vec<u8>> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A large file is sent even if sendfile(2) fails.
#[test]
fn sendfile() -> io::Result<()> {
    let root = tempfile::tempdir()?;
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.path().join("large"), &content)?;
    let options = options(root.path());
    for error in [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
        // Each server needs its own site: a site goes on draining after its server has
        // stopped, and a server that drains closes a connection whose request has not
        // arrived yet.
        let site = options.site()?;
        let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
        let address = listener.address()?;
        let (stop, stopper) = Stop::pipe()?;
        let answer = thread::scope(|scope| {
            let served = scope.spawn(|| {
                if !refuse(libc::SYS_sendfile, error) {
                    eprintln!("no filter on this system: nothing is refused");
                }
                server::run(listener, &site, &options, &stop)
            });
            let answer = ask(address, "/large");
            stopper.stop()?;
            served.join().expect("the server does not panic")?;
            answer
        })?;
        assert!(answer.ends_with(&content), "error {error}: {} bytes", answer.len());
    }
    Ok(())
}

/// Even if poll(2) fails, a client is accepted and served, and the stop is noticed.
#[test]
fn poll() -> io::Result<()> {
    let options: Options = Cli::parse_from(["refused"]).options;
    let site = options.site()?;
    let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
    let address = listener.address()?;
    let (stop, stopper) = Stop::pipe()?;
    let answer = thread::scope(|scope| {
        let served = scope.spawn(|| {
            refuse(libc::SYS_ppoll, libc::ENOMEM);
            #[cfg(target_arch = "x86_64")] // on other processors poll(3) calls ppoll(2)
            refuse(libc::SYS_poll, libc::ENOMEM);
            server::run(listener, &site, &options, &stop)
        });
        let answer = ask(address, "/plaintext");
        stopper.stop()?;
        served.join().expect("the server does not panic")?;
        answer
    })?;
    assert!(answer.ends_with(b"Hello, World!"), "{}", answer.escape_ascii());
    Ok(())
}

/// A file that cannot be opened is reported as missing only if the error of open(2)
/// says so.
#[test]
fn open() -> io::Result<()> {
    let root = tempfile::tempdir()?;
    fs::write(root.path().join("file"), "there")?;
    let site = options(root.path()).site()?;
    let expected = [
        (libc::ENOENT, 404),
        (libc::EACCES, 404),
        (libc::ENAMETOOLONG, 404),
        (libc::EMFILE, 503),
        (libc::ENOMEM, 503),
        (libc::ESTALE, 503),
        (libc::EIO, 500),
        (libc::EOVERFLOW, 500),
    ];
    for (error, status) in expected {
        thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let filtered = refuse(libc::SYS_openat2, error);
                let mut inbox = Inbox::new();
                inbox.receive(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
                match inbox.next(&site.limits) {
                    Parsed::Complete(request) => {
                        (filtered, site.respond(&request).status)
                    }
                    other => panic!("{other:?}"),
                }
            });
            let (filtered, came) = asked.join().expect("it does not panic");
            assert_eq!(came, if filtered { status } else { 200 }, "error {error}");
        });
    }
    Ok(())
}
