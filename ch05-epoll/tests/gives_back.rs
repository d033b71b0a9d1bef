//! Tests that the memory of many connections is returned to the system after they have
//! closed, even if one client stays.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod crowd;

#[test]
fn memory_goes_back_when_the_crowd_has_left() -> std::io::Result<()> {
    crowd::memory_goes_back(env!("CARGO_BIN_EXE_epoll"), &[])
}
