//! Tests that the programs `epoll` and `kqueue` are built on every system, and that each prints an
//! error if the system lacks the interface of that name.

use std::process::Command;

#[test]
fn a_server_without_its_mechanism_says_so() -> std::io::Result<()> {
    let missing = if cfg!(target_os = "linux") {
        env!("CARGO_BIN_EXE_kqueue")
    } else {
        env!("CARGO_BIN_EXE_epoll")
    };
    let ended = Command::new(missing).output()?;
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stdout.is_empty());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.starts_with("error: this system has no "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    Ok(())
}
