//! Chapter 6: what if the code could look like chapter 1 again?
//!
//! ```text
//!   Stacks::take ──► Coroutine::new ──► resume ──► the body runs, on its own stack
//!        ▲                                ▲  │                 │
//!        │                                │  └── Suspended ◄── suspend
//!        │                                └────────┘
//!        └──────────── into_stack ◄── Finished, Panicked
//! ```
//!
//! A [`coroutine`] is a function that can stop in the middle and go on later. All it
//! takes is a stack of its own ([`stack`]) and a switch between stacks ([`context`]).
//!
//! ```text
//!   who rests, without a stack ◄──────────────────────────────┐ idle
//!        │ Poller::wait: there is something to read           │
//!        ▼                                                    │
//!   run queue ──► resume ──► chapter 1's serve ──► fill ──► … ┴─► linger ──► close
//!        ▲                                          │
//!        └── ready, or too late ◄── park ◄──────────┘ nothing there yet
//! ```
//!
//! A [`scheduler`] runs the coroutines of a thread, and lets those wait that wait for a
//! descriptor or a time. On top of it, the [`server`] calls chapter 1's
//! [`serve`](ch01_blocking::serve()), not a line of it changed, with a stream that parks.
//!
//! The second half has no stacks. An `async fn` is a value that is polled, made by the
//! compiler, and an [`executor`] polls those of a thread, at the same [`reactor`]:
//!
//! ```text
//!   who rests, without a future ◄──────────────────────────────┐ idle
//!        │ Poller::wait: there is something to read            │
//!        ▼                                                     │
//!   run queue ──► poll ──► the driver's serve ──► fill ──► … ──┴─► linger ──► close
//!        ▲                                         │
//!        └── Waker::wake ◄── its waker is left ◄───┘ Pending
//! ```

mod alarms;
pub mod async_server;
mod awaiting;
mod best;
mod buffers;
pub mod context;
pub mod coroutine;
mod driver;
pub mod executor;
mod guest;
mod house;
pub mod injector;
pub mod join;
mod line;
mod overflow;
pub mod race;
pub mod reactor;
pub mod readiness;
mod run_queue;
pub mod scheduler;
pub mod server;
pub mod source;
pub mod stack;
mod stream;
mod sys;
mod task;
mod visitor;
mod waker;

pub use alarms::Sleep;
pub use coroutine::{Coroutine, Resumed, is_inside, suspend};
pub use executor::{Executor, Spawner};
pub use scheduler::{Handle, Scheduler};
pub use stack::{Stack, Stacks};
pub use task::Woken;
