//! The book's program: renders the pages, serves them with the project's own server, makes the
//! transcripts, runs the lab's measurements, and checks the pages.
//!
//! ```text
//! src/*.md                 ── render ──────> target/book/ ── serve ──> http://127.0.0.1:3000
//! transcripts/*.toml       ── transcripts ─> src/transcripts/
//! measurements             ── lab ─────────> results/*.json ── lab ──> src/generated/
//! results, sources, pages  ── derived ─────> src/generated/
//! ```
//!
//! In this diagram, the module named on an arrow reads what is on the left and makes what is on the
//! right. The pages (src/*.md) include files from src/transcripts/ and src/generated/.
//!
//! - `transcripts` uses `scenario`, `servers`, `terminal` and `normalize`.
//! - `live` is the part of `serve` that runs the lab for a page, in one child process per run.
//! - `checks` finds what a page must not contain: a broken link, pasted code, a number typed by
//!   hand.
//!
//! Files depend on each other in one direction only: `paths`, `files`, `text` and `child`
//! at the bottom, the lab's layers above them (see `lab`), and the commands at the top.

pub mod checks;
mod child;
pub mod derived;
pub mod durations;
pub mod files;
mod includes;
pub mod lab;
mod listings;
mod live;
mod normalize;
pub mod paths;
mod problem;
pub mod render;
pub mod scenario;
pub mod serve;
pub mod servers;
mod terminal;
mod text;
pub mod transcripts;
