//! The tests of the chapter's library; each module is a file beside this one. The modules share a
//! program because linking takes time. A test that changes its process's limits, signals or
//! mappings, or may crash, has its own program.

#[macro_use]
#[path = "../../ch03-nonblocking/tests/delegate/mod.rs"]
mod delegate;

mod by_hand;
mod foreign_waker;
mod futures;
mod kept;
mod live;
mod model;
mod new_coroutine;
mod no_second_loop;
mod no_stack;
mod orders;
mod pollers;
mod scheduler;
mod servers;
mod sound;
mod together;
mod tools;
mod trouble;
