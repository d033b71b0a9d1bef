//! The application: the routes and files that every server of the book serves.
//!
//! It decides what to answer and never waits. [`site::Site`] is its entrance; `files` and
//! `conditional` are the part that reads below `--root`; [`stats`] counts for `/stats`.

pub(crate) mod conditional;
pub(crate) mod files;
pub(crate) mod guarded;
pub(crate) mod methods;
pub mod site;
pub mod stats;
