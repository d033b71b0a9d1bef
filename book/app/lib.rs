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
//! - `checks` joins the manuscript's checks (a broken link, pasted code, a number typed by hand)
//!   with those of recorded results and of derived files.
//!
//! Files depend on each other in one direction only: `paths`, `child` and `servers` at the bottom,
//! the lab's layers above them (see `lab`), and the commands at the top. Below them all are two
//! packages of the book: `manuscript` lists, reads and replaces files, and reads and checks the
//! pages as their authors write them; `figures` formats numbers and tables, and draws charts.

pub mod checks;
mod child;
pub mod derived;
pub mod durations;
pub mod lab;
mod live;
mod normalize;
pub mod paths;
pub mod render;
pub mod scenario;
pub mod serve;
pub mod servers;
mod terminal;
pub mod transcripts;
