//! Schedulers that serve together: all of them, or none.
#![cfg(target_os = "linux")] // others have no limit for a process's memory that they would hold to

#[test]
fn fewer_threads_than_it_was_told_are_none() {
    for server in [env!("CARGO_BIN_EXE_coroutine"), env!("CARGO_BIN_EXE_async")] {
        // Room for two such stacks, and much left for what those two allocate meanwhile.
        let tight = "ulimit -v 300000 && RUST_MIN_STACK=120000000 exec \"$0\" --listen 127.0.0.1:0 --threads 8";
        let (status, _, said) =
            client_suite::server::run_to_end("/bin/sh".as_ref(), &["-c", tight, server])
                .unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!(status.code(), Some(1), "{server}: {said}");
        assert!(said.contains(" of 8 cannot be created ("), "{server}: {said}");
        assert_eq!(said.lines().count(), 1, "{server}: {said}");
    }
}
