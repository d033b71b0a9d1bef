//! The runtime: it runs the tasks of one thread, and contains the only place where that thread
//! waits.
//!
//! A task is a coroutine or a future. Both wait for the same descriptors and timers, and share one
//! run queue; only the last step differs, `resume` for a coroutine and `poll` for a future
//! (`scheduler.rs`). [`Runtime`], [`Runtime::run_coroutine`], [`Descriptor`] and [`Either`] have
//! examples.
//!
//! | file | what it is |
//! |---|---|
//! | `scheduler.rs` | which task runs: the run queue, park and wake, `resume` and `poll` |
//! | `reactor.rs` | descriptors: the events reported for each, and the tasks that wait for it |
//! | `timers.rs` | deadlines of tasks and idle connections |
//! | `waker.rs`, `remote.rs` | wake-ups by a `Waker`, from this thread and from others |
//! | `future.rs` | the leaf futures `Sleep` and `yield_now`, and the combinator `race` |
//! | `handle.rs` | `Runtime` and `Handle`, the interface |

mod future;
mod handle;
mod reactor;
mod remote;
mod scheduler;
mod timers;
mod waker;

pub use future::{Either, Race, Sleep, race, yield_now};
pub use handle::{Handle, Join, Runtime};
pub(crate) use reactor::REGISTRATION;
pub use reactor::{Descriptor, Readiness, Ready};
pub use scheduler::{Scheduler, TASK};
pub(crate) use scheduler::{Task, Turn};
pub(crate) use timers::{NO_TIMER, TIMER};
pub(crate) use waker::Waiter;
pub use waker::Woken;
