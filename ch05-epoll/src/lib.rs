//! The pollers `epoll` and `kqueue`, and a server with an event loop for each core.
//!
//! Chapter 5: what if the kernel remembers the list?
//!
//! ```text
//!      chapter 3's EventLoop ──► Poller::wait ──► epoll_wait: what has become ready?
//!                 │  ▲                                  │
//!                 │  └──────────────────────────────────┘  only those
//!                 └──► register, once a connection ──► epoll_ctl: remember this one
//! ```
//!
//! `epoll` (Linux) is one more [poller](ch03_nonblocking::poller::Poller); the rest of
//! the server is unchanged. `kqueue` is its counterpart on macOS and the BSDs.
//! `reactors` runs one loop for each core, on the threads of [`run_threads`].
//! `lost_wakeup` is wrong on purpose: it shows what edge-triggered notification demands
//! of an event loop.
//!
//! The chapter begins with small servers that use none of the modules above:
//! `src/bin/small-*.rs`, and their event loop in `small`.

#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "dragonfly",
    target_os = "netbsd",
    target_os = "openbsd"
))]
pub mod kqueue;
#[cfg(target_os = "linux")]
pub mod lost_wakeup;
#[cfg(target_os = "linux")]
pub mod reactors;
pub mod run_threads;
#[cfg(target_os = "linux")]
pub mod small;
