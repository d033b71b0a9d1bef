// ANCHOR: modules
//! The modules of this chapter's small programs, in reading order: `coroutine`,
//! `reactor`, `scheduler` and `coroutine_server`, `executor` and `async_server`.

#[cfg(target_os = "linux")]
pub mod async_server;
pub mod coroutine;
#[cfg(target_os = "linux")]
pub mod coroutine_server;
#[cfg(target_os = "linux")]
pub mod executor;
#[cfg(target_os = "linux")]
pub mod reactor;
#[cfg(target_os = "linux")]
pub mod scheduler;
// ANCHOR_END: modules
