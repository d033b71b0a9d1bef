//! A file that somebody has a lease on is not missing: it cannot be opened *now*.
#![cfg(target_os = "linux")] // nobody else has leases
#![allow(unsafe_code)] // nix has no call for them

use ch01_blocking::app::site::Site;
use ch01_blocking::http::{Inbox, Limits, Parsed};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

/// libc does not have it (`asm-generic/fcntl.h`).
const F_SETSIG: libc::c_int = 10;

fn set(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: fcntl(2) with these commands takes a number, and the descriptor is open.
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
    // Who has a lease is told by a signal that somebody wants the file. SIGIO would end this
    // process; this one is ignored.
    set(&file, F_SETSIG, libc::SIGURG)?;
    if let Err(error) = set(&file, libc::F_SETLEASE, libc::F_WRLCK) {
        eprintln!("this file system knows no leases, so nobody has one: {error}");
        return Ok(());
    }
    assert_eq!(status(&site), 503);
    set(&file, libc::F_SETLEASE, libc::F_UNLCK)?;
    assert_eq!(status(&site), 200);
    Ok(())
}
