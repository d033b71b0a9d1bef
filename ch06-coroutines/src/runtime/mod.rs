//! The runtime: runs the tasks of one thread, and is the one place where that thread waits.
//!
//! A task is a coroutine or a future. Both wait at the same descriptors and the same timers,
//! and stand in the same run queue; only the last step differs, `resume` and `poll` in
//! `scheduler.rs`.
//!
//! | file | what it is |
//! |---|---|
//! | `scheduler.rs` | who runs: tasks, the run queue, park and wake, `resume` beside `poll` |
//! | `reactor.rs` | descriptors: what was reported for each, and what waits for it |
//! | `timers.rs` | deadlines |
//! | `waker.rs`, `remote.rs` | wake-ups by a `Waker`, from this thread and from others |
//! | `future.rs` | leaf futures: `Sleep`, `yield_now`, `race` |
//! | `handle.rs` | a runtime, and what its tasks ask of it |

mod future;
mod handle;
mod reactor;
mod remote;
mod scheduler;
mod timers;
mod waker;

pub use future::{Either, Race, Sleep, race, yield_now};
pub use handle::{Handle, Join, Runtime};
pub(crate) use reactor::SOURCE;
pub use reactor::{Descriptor, Readiness, Ready};
pub use scheduler::{Scheduler, TASK};
pub(crate) use scheduler::{Task, Turn};
pub(crate) use timers::{NO_TIMER, TIMER};
pub(crate) use waker::Waiter;
pub use waker::Woken;
