//! Chapter 3: what if nobody ever waits for one client?
//!
//! ```text
//!            ┌───────────────► EventLoop: the one place that waits
//!            │                     │
//!            │            Poller::wait: who is ready?    spin   everybody, perhaps
//!            │                     │                     sigio  whoever a signal names
//!            │      ┌──────────────┼──────────────┐
//!            │      ▼              ▼              ▼
//!            │   accept      Connection::advance  a deadline has passed (Timers)
//!            │                     │
//!            │    fill ──► Inbox::next ──► Site::respond ──► Outbox::push ──► flush
//!            │      none of these waits: would it have to, the connection says what for
//!            │                     │
//!            └──── interest, deadline, another turn, or close
//! ```
//!
//! The connection's decisions are chapter 1's, not a line changed. What is new: the
//! [`connection`] as a state machine, one trait for "who is ready?" ([`poller`]), and
//! the [`event_loop`]. Chapters 4 and 5 bring other pollers and nothing else.

pub mod connection;
pub mod event_loop;
pub mod poller;
#[cfg(target_os = "linux")]
pub mod sigio;
pub mod socket;
pub mod spin;
#[cfg(target_os = "linux")]
mod sys;
pub mod table;
pub mod timers;
pub mod watched;
pub mod work;
