//! Chapter 1: what does it cost to wait for one client?
//!
//! ```text
//!   listener.accept ──► who serves it?  iterative   this thread
//!                                       fork        a new process
//!                                       thread      a new thread
//!                            │
//!                            ▼
//!                  attend ──► serve, again and again:
//!
//!        ┌────► Stream::fill ──► Inbox::next ──► Site::respond ──► Outbox::push ─┐
//!        │      waits            never waits     never waits       never waits   │
//!        │                                                                       ▼
//!        └──────────────────── idle ◄──────────────────────────── Outbox::flush, waits
//!                               │
//!                               └──► linger ──► close
//! ```
//!
//! The three servers differ in one file each: [`iterative`], [`fork`], [`thread`]. All
//! that decides something is in [`http`] and [`site`], and never waits; later chapters
//! drive the same decisions in other ways. All that waits is in [`serve()`] and its
//! [`stream`].

pub mod attend;
pub mod children;
mod conditional;
mod files;
pub mod fork;
pub mod http;
pub mod iterative;
pub mod ledger;
pub mod listener;
pub mod options;
pub mod program;
pub mod roster;
pub mod serve;
pub mod site;
pub mod stats;
pub mod stop;
pub mod stream;
pub mod sys;
pub mod thread;
pub mod trace;
pub mod wait;

pub use listener::Listener;
pub use options::Options;
pub use serve::serve;
pub use site::Site;
pub use stop::Stop;
