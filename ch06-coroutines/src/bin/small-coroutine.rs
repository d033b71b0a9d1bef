// ANCHOR: all
//! The small server in which each client has a coroutine.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    ch06_coroutines::small::coroutine_server::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::io::Result<()> {
    Err(std::io::Error::other("only Linux has epoll"))
}
// ANCHOR_END: all
