//! Tests that the threads of a server run together: all of them, or none.

use ch01_blocking::Stop;
use ch05_epoll::run_threads::run_threads;
use std::io;

#[test]
fn one_that_fails_stops_the_others() -> io::Result<()> {
    for failing in 1..=3 {
        let (stop, _stopper) = Stop::pipe()?;
        let ended = run_threads(vec![1, 2, 3], &stop, |number| {
            if number == failing {
                return Err(io::Error::other("this one"));
            }
            stop.wait();
            Ok(())
        });
        assert_eq!(ended.expect_err("one has failed").to_string(), "this one");
    }
    Ok(())
}

#[test]
fn one_that_panics_stops_the_others() -> io::Result<()> {
    let (stop, _stopper) = Stop::pipe()?;
    let ended = run_threads(vec![1, 2, 3], &stop, |number| {
        assert_ne!(number, 3, "a panic that is part of the test");
        stop.wait();
        Ok(())
    });
    assert_eq!(ended.expect_err("one has panicked").to_string(), "a loop panicked");
    Ok(())
}

#[test]
fn all_end_at_shutdown() -> io::Result<()> {
    let (stop, stopper) = Stop::pipe()?;
    stopper.stop()?;
    run_threads(vec![(), ()], &stop, |()| {
        stop.wait();
        Ok(())
    })
}

/// If a limit on the address space keeps a server from creating some of its threads, the server
/// serves on none and exits with one error. Only Linux enforces this limit.
#[cfg(target_os = "linux")]
#[test]
fn a_server_starts_all_threads_or_none() {
    // An address space of 300,000 KiB has room for two stacks of 120 MB, and for the other
    // allocations of two threads.
    let tight = "ulimit -v 300000 && RUST_MIN_STACK=120000000 exec \"$0\" --listen 127.0.0.1:0 --threads 8";
    let (status, _, said) = client_suite::server::run_to_end(
        "/bin/sh".as_ref(),
        &["-c", tight, env!("CARGO_BIN_EXE_reactors")],
    )
    .unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(" of 8 cannot be created ("), "{said}");
    assert!(said.ends_with("ask for fewer with --threads\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_panic_after_a_failure_is_an_error_too() -> io::Result<()> {
    let (stop, _trigger) = Stop::pipe()?;
    let ended = run_threads(vec![1, 2], &stop, |number| {
        if number == 1 {
            return Err(io::Error::other("it failed"));
        }
        stop.wait();
        panic!("after the failure of the other thread");
    });
    assert_eq!(ended.map_err(|error| error.to_string()), Err("it failed".to_owned()));
    Ok(())
}
