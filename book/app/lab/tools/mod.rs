//! The tools of experiments: a run with its repeats and progress, servers and peers, clients and
//! loads, what this machine can hold, and the ranking of results.

pub(super) mod clients;
#[cfg(target_os = "linux")]
pub(super) mod cores;
#[cfg(target_os = "linux")]
pub(super) mod held;
#[cfg(target_os = "linux")]
pub(super) mod load;
#[cfg(target_os = "linux")]
pub(super) mod peers;
pub(super) mod progress;
#[cfg(target_os = "linux")]
pub(super) mod ranking;
#[cfg(target_os = "linux")]
pub(super) mod requirements;
pub(super) mod run;
pub(super) mod sample;
pub(super) mod server;
