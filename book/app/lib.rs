//! The book's program: renders the pages, serves them with the project's own
//! server, makes the transcripts, and checks all of it.
//!
//! ```text
//! src/*.md ── render ──> target/book/ ── serve ──> http://127.0.0.1:8080
//!    ^  {{#include transcripts/NAME.txt}}
//!    └── transcripts ── servers, terminal, scenario, mask
//! serve ── live ── the lab in the page: a child process for each run ── lab
//! checks ── what a page may not do: a broken link, pasted code, a number typed by hand
//! ```

pub mod checks;
pub mod house;
pub mod lab;
pub mod live;
pub mod mask;
pub mod parts;
pub mod render;
pub mod scenario;
pub mod serve;
pub mod servers;
pub mod terminal;
pub mod transcripts;
