//! Tests the unchanged `kqueue.rs` on Linux, against an emulation of kqueue(2).
//!
//! The emulation (`emulated/event.rs`) follows the sources of FreeBSD and XNU. So every Linux
//! machine can test the poller's logic against a reading of those sources. Only a BSD or macOS can
//! test whether the reading is right (`pollers.rs` and `suite.rs` run there).
#![cfg(target_os = "linux")]
#![allow(missing_docs)] // the emulation's public items are documented in nix

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
// In the library, `kqueue.rs` is a public module. Here the module is private, so its `pub` items
// are unreachable from outside, and its server (`run`) is never called.
mod kqueue;

use contract::contract;

contract!(emulated, crate::kqueue::Kqueue::new().expect("a kqueue"));
