//! Tests that a file with a lease (fcntl(2)) is not reported as missing: the file
//! cannot be opened *now*, so the response is 503, not 404.
#![cfg(target_os = "linux")] // only Linux has file leases
#![allow(unsafe_code)] // nix has no wrapper for leases

use ch01_blocking::app::site::Site;
use ch01_blocking::http::{Inbox, Limits, Parsed};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

/// The command of fcntl(2) that chooses the signal for the holder of a lease, from
/// `asm-generic/fcntl.h`; libc does not define it.
const F_SETSIG: libc::c_int = 10;

fn set(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: F_SETSIG and F_SETLEASE of fcntl(2) take an integer, and `file` keeps the
    // descriptor open.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn status(site: &Site) -> u16 {
    let mut inbox = Inbox::new();
    inbox.receive(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    match inbox.next(&site.limits) {
        Parsed::Complete(request) => site.respond(&request).status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_busy_and_then_it_is_there() -> io::Result<()> {
    let root = tempfile::tempdir()?;
    let path = root.path().join("held");
    fs::write(&path, "held")?;
    let site = Site::new(Some(root.path()), Limits::default())?;
    let file = File::open(&path)?;
    // The kernel notifies the lease holder by a signal when the file is opened. The
    // default signal, SIGIO, would terminate this process; SIGURG is ignored.
    set(&file, F_SETSIG, libc::SIGURG)?;
    if let Err(error) = set(&file, libc::F_SETLEASE, libc::F_WRLCK) {
        eprintln!("skipped: this file system does not support leases: {error}");
        return Ok(());
    }
    assert_eq!(status(&site), 503);
    set(&file, libc::F_SETLEASE, libc::F_UNLCK)?;
    assert_eq!(status(&site), 200);
    Ok(())
}
