//! Tests the unchanged `kqueue.rs` on Linux, against an emulation of kqueue(2).
//!
//! The emulation (`emulated/event.rs`) follows the sources of FreeBSD and XNU. So every Linux
//! machine can test the poller's logic against a reading of those sources. Only a BSD or macOS can
//! test whether the reading is right (`pollers.rs` and `suite.rs` run there).
#![cfg(target_os = "linux")]
#![allow(missing_docs)] // the emulation has nix's names

pub extern crate nix as real;
extern crate self as nix; // the crate that `kqueue.rs` and the contract call `nix`

#[path = "emulated/event.rs"]
pub mod event;
pub use real::{errno, libc, unistd};
pub mod sys {
    pub use crate::event;
    pub use real::sys::{socket, time};
}

#[path = "../../ch03-nonblocking/tests/contract/mod.rs"]
mod contract;
#[path = "../src/kqueue.rs"]
#[allow(dead_code, unreachable_pub)]
// The lints are allowed because `kqueue.rs` is a file of the library, and contains a server that
// this test does not run.
mod kqueue;

use contract::contract;

contract!(emulated, crate::kqueue::Kqueue::new().expect("a kqueue"));
