// ANCHOR: all
//! The chapter's small epoll server, edge-triggered.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    ch05_epoll::small::run(ch05_epoll::small::edge)
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::io::Result<()> {
    Err(std::io::Error::other("only Linux has epoll"))
}
// ANCHOR_END: all
