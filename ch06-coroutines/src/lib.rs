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

pub mod context;
pub mod coroutine;
mod overflow;
pub mod stack;

pub use coroutine::{Coroutine, Resumed, is_inside, suspend};
pub use stack::{Stack, Stacks};
