//! Tests that a server that cannot start all of its threads starts none.
#![cfg(target_os = "linux")] // other systems do not enforce a limit on memory

#[test]
fn a_server_starts_all_threads_or_none() {
    for server in [env!("CARGO_BIN_EXE_coroutine"), env!("CARGO_BIN_EXE_async")] {
        // The limit leaves room for two threads with stacks of 120 MB each, and for what they
        // allocate.
        let tight = "ulimit -v 300000 && RUST_MIN_STACK=120000000 exec \"$0\" --listen 127.0.0.1:0 --threads 8";
        let (status, _, said) =
            client_suite::server::run_to_end("/bin/sh".as_ref(), &["-c", tight, server])
                .unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!(status.code(), Some(1), "{server}: {said}");
        assert!(said.contains(" of 8 cannot be created ("), "{server}: {said}");
        assert_eq!(said.lines().count(), 1, "{server}: {said}");
    }
}
