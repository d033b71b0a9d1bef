//! The chapter's library, each part by itself: a module is a file beside this one. They share a
//! program because each program takes its time to link. What changes the limits, the signals or
//! the mappings of its process, or may crash it, has a program of its own.

mod by_hand;
mod foreign_waker;
mod futures;
mod kept;
mod live;
mod model;
mod no_second_loop;
mod no_stack;
mod orders;
mod pollers;
mod scheduler;
mod sound;
mod together;
mod trouble;
