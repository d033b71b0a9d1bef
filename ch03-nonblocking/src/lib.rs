//! An event loop, the trait of its pollers, and two pollers.
//!
//! Chapter 3: what if the server never waits for one client?
//!
//! ```text
//!            ┌───────────────► EventLoop: the one place that blocks
//!            │                     │
//!            │            Poller::wait: what is ready?   spin   perhaps all of them
//!            │                     │                     sigio  the descriptor of each signal
//!            │      ┌──────────────┼──────────────┐
//!            │      ▼              ▼              ▼
//!            │   accept      Connection::advance  a deadline has passed (Timers)
//!            │                     │
//!            │    fill ──► Inbox::next ──► Site::respond ──► Outbox::push ──► flush
//!            │      none of these blocks: the connection returns what to wait for
//!            │                     │
//!            └──── interest, deadline, another turn, or close
//! ```
//!
//! The connection's decisions are chapter 1's, unchanged. This chapter adds the
//! [`connection`] as a state machine, one trait for "which descriptors are ready?"
//! ([`poller`]), and the [`event_loop`]. Chapters 4 and 5 add other pollers.
//!
//! The chapter begins with a small server that uses none of the modules above:
//! `src/bin/small-spin.rs`, and its connections in [`small`].

pub mod connection;
pub mod event_loop;
pub mod fd_table;
pub mod poller;
#[cfg(target_os = "linux")]
pub mod sigio;
pub mod small;
pub mod socket;
pub mod spin;
#[cfg(target_os = "linux")]
mod sys;
pub mod table;
pub mod timers;
pub mod work;
