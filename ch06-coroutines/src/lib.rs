//! Chapter 6.
pub mod context;
mod coroutine;
pub mod runtime;
pub mod server;
pub mod stack;

pub use coroutine::{Coroutine, Resumed, is_inside, suspend};
pub use runtime::{
    Descriptor, Either, Handle, Join, Race, Readiness, Ready, Runtime, Sleep, Woken,
    race, yield_now,
};
pub use server::{async_server, coroutine_server};
pub use stack::{Guard, Stack, StackPool};
