//! Tests that the memory of many connections is returned to the system after they have closed, even
//! if one client stays connected.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "../../ch05-epoll/tests/crowd/mod.rs"]
mod crowd;

#[test]
fn memory_of_coroutines() -> std::io::Result<()> {
    crowd::memory_goes_back(env!("CARGO_BIN_EXE_coroutine"), &["--threads", "1"])
}

#[test]
fn memory_of_futures() -> std::io::Result<()> {
    crowd::memory_goes_back(env!("CARGO_BIN_EXE_async"), &["--threads", "1"])
}
