//! The parts that every server needs around its connections: options, a listening
//! socket, an orderly stop, child processes, the log and the trace. A first reading may
//! skip these parts.
//!
//! [`program`] is what a binary's `main` calls. [`listener`] accepts, [`connections`]
//! lists the open connections so that [`stop`] can end them in order, [`children`]
//! reaps processes and [`usage`] records the resources of a process that may be killed.
//! [`free_memory`] returns memory to the system. [`sys`] has all unsafe code of the
//! chapter, except that of the small servers.

pub mod children;
pub mod connections;
pub mod free_memory;
pub mod listener;
pub mod log;
pub mod options;
pub(crate) mod parse;
pub mod program;
pub mod stop;
pub mod sys;
pub mod trace;
pub mod uninterrupted;
pub mod unwind;
pub mod usage;
