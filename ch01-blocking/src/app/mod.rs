//! The application: the routes and files that every server of the book serves.
//!
//! The application decides what to answer and never waits. [`site::Site`] is its entry
//! point; `files` and `conditional` serve files below `--root`; [`stats`] has the counters
//! of `/stats`.

pub(crate) mod conditional;
pub(crate) mod files;
pub(crate) mod guarded;
pub(crate) mod methods;
pub mod site;
pub mod stats;
