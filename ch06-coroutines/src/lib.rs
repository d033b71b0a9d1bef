//! Coroutines, a runtime for coroutines and futures, and a server on each.
//!
//! Chapter 6: what if the code could look like chapter 1 again?
//!
//! A [`Coroutine`] is a function that can be suspended in the middle and resumed later. It needs a
//! stack of its own ([`stack`]) and a switch between stacks ([`context`]). The [`runtime`] runs the
//! coroutines and futures of one thread. On top of the runtime, the server [`coroutine_server`]
//! calls chapter 1's [`serve`](ch01_blocking::serve()), unchanged, with a stream that parks. The
//! server [`async_server`] has a `serve` of its own: chapter 1's code, rewritten as an `async fn`.
//!
//! The path of a `read` that would block, in a coroutine and in a future:
//!
//! ```text
//!   server/stream.rs          ParkingStream::fill            async_stream.rs: fill
//!     read: WouldBlock          ActiveConnection::try_fill     ActiveConnection::try_fill
//!                                 Descriptor::would_block        Descriptor::would_block
//!                                  │                              │
//!   runtime/reactor.rs        Descriptor::wait               Descriptor::ready_by, Ready::poll
//!     name the waiter           Descriptor::subscribe          Descriptor::subscribe
//!                                  │                              │
//!   runtime/scheduler.rs      Scheduler::park                Poll::Pending
//!     leave the thread          Scheduler::suspend             return from Scheduler::poll
//!                                  │                              │
//!                                  ▼                              ▼
//!                             Scheduler::run: the other tasks of this round, then
//!                             Reactor::wait: the poller, the only place that waits
//!                                  │
//!                             Registration::report ──► Scheduler::notify ──► run queue
//!                                  │
//!                             Scheduler::run_task
//!                                  ├──► resume: park returns, wait returns, fill goes on
//!                                  └──► poll:   fill goes on after its .await
//! ```
//!
//! No wake-up is lost between the failed read and the wait: the poller runs only when no task does,
//! and `report` remembers an event in the descriptor's `Registration`. `read_short` clears it after
//! a short read, and `would_block` after a read that would block. Wake-ups from other threads arrive
//! in the runtime's `RemoteQueue` (`runtime/remote.rs`): the runtime first announces that it will
//! sleep, and then takes these wake-ups (`Scheduler::prepare_to_wait`). A task's `ScheduledFlag` is
//! cleared before the task runs.
//!
//! An idle connection has no task, no stack and no buffers. The server keeps it in a slab. To the
//! runtime it is a token, which its descriptor and its timer report:
//!
//! ```text
//!   server/mod.rs             serve returns After::Idle ──► Connection::store_idle ──► slab
//!
//!   runtime/reactor.rs        Registration::report: it is readable      ─┐
//!   runtime/timers.rs         Timers::expire: its idle time is up       ─┤
//!                                                                        ▼
//!   runtime/scheduler.rs      Scheduler::notify ──► run queue ──► Scheduler::activate
//!                                                                        │
//!   server/mod.rs             ServerState::activate, from the slab ◄───────┘
//!                               to a free worker, which runs at once; without a stack for
//!                               a worker, a client that asks is answered 503
//!   server/*_server.rs        worker: a coroutine or a future that serves the connection until
//!                             it is idle again, or closes it after its idle time
//! ```
//!
//! When the idle time of a connection is up, its worker reads once more, in case a request has
//! arrived that was not reported yet (`ActiveConnection::try_fill`). If no request has arrived, the
//! read fails with `TimedOut`, `serve` returns `After::Close`, and the worker's `handle_connection`
//! closes the connection without an answer, as in chapter 1.
//!
//! Read the chapter's small programs first: `src/bin/small-*.rs`, and the modules of [`small`].
//! They share no code with the modules above.
//!
//! Only the scheduler takes and returns stacks, by [`StackPool::take`] and
//! [`StackPool::give_back`]. `context/variants.rs` contains other implementations of the switch;
//! only the book uses them, for comparison.

pub mod context;
mod coroutine;
pub mod runtime;
pub mod server;
pub mod small;
pub mod stack;

pub use coroutine::{Coroutine, Resumed, suspend};
pub use runtime::{
    Descriptor, Either, Handle, Join, Race, Readiness, Ready, Runtime, Sleep, Woken,
    race, yield_now,
};
pub use server::{async_server, coroutine_server};
pub use stack::{Stack, StackPool};
