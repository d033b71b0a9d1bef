//! Chapter 5: what if the kernel remembers the list?
//!
//! ```text
//!      chapter 3's EventLoop ──► Poller::wait ──► epoll_wait: who has become ready?
//!                 │  ▲                                  │
//!                 │  └──────────────────────────────────┘  only those
//!                 └──► register, once a connection ──► epoll_ctl: remember this one
//! ```
//!
//! [`epoll`] is one more [poller](ch03_nonblocking::poller::Poller), and nothing else
//! has changed. [`reactors`] runs one loop for each core. [`lost_wakeup`] is no server of
//! the book: it is wrong on purpose, and shows what edges ask of whoever waits for them.

#[cfg(target_os = "linux")]
pub mod epoll;
#[cfg(target_os = "linux")]
pub mod lost_wakeup;
#[cfg(target_os = "linux")]
pub mod reactors;
