//! The pollers `select` and `poll`.
//!
//! Chapter 4: what if the kernel does the asking?
//!
//! ```text
//!      chapter 3's EventLoop ──► Poller::wait ──► one system call for all:
//!                 ▲                                select  three sets of bits
//!                 │                                poll    a list of descriptors
//!                 └──────────────────────────────  what is ready
//! ```
//!
//! This chapter has two more [pollers](ch03_nonblocking::poller::Poller), one file each:
//! [`select`] and [`poll`]. The event loop and the connections are chapter 3's.

pub mod poll;
pub mod select;
mod sys;
