//! The book's program: renders the pages, serves them with the project's own server, makes the
//! transcripts, runs the lab's measurements, and checks the pages.
//!
//! ```text
//! src/*.md ── render ──> target/book/ ── serve ──> http://127.0.0.1:3000
//!    ^  {{#include transcripts/NAME.txt}}
//!    └── transcripts ── servers, terminal, scenario, normalize
//! serve ── live ── the lab in the page: one child process per run ── lab
//! lab ── results/*.json ── src/generated/ ── derived: tables made from results, sources and pages
//! checks ── what a page must not contain: a broken link, pasted code, a number typed by hand
//! ```
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
