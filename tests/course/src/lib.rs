//! The course: a ladder of steps that leads from an empty `main` to the book's small servers.
//!
//! ```text
//!   the book's sources ──► cutter ──► starter: a crate with holes ──► the learner fills them
//!   main.toml ───────────────┘            │                               │
//!                                          ▼                               ▼
//!                  gates: red while open, green when filled ──► step: the suite judges, hints
//! ```
//!
//! A [`ladder::Step`] is a hole in a real source. [`cutter`] replaces bodies of functions,
//! [`starter`] writes the learner's crate, [`gate`] judges a program, [`step`] is `cargo step`, and
//! [`gates`] proves the whole ladder, so that no change of the sources breaks a step unnoticed.
//! [`rungs`] is a shorter ladder for servers in other languages, whose starters are in
//! `languages/`. [`mod@grade`] gives points for submissions by an instructor's plan, and [`cli`] is the
//! command.

pub mod cli;
pub mod cutter;
pub mod gate;
pub mod gates;
pub mod grade;
pub mod hunt;
pub mod ladder;
pub mod rungs;
pub mod starter;
pub mod step;
pub mod work;
