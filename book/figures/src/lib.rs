//! How the book shows what was measured: numbers as text, tables in Markdown, charts as SVG.
//!
//! ```text
//! text     numbers with their units, and Markdown tables
//! summary  the median, the least and the greatest of several repeats
//! chart    a chart as data
//! draw     a chart as SVG
//! ```
//!
//! Each module uses only the modules above it in this list, and nothing here measures or reads a
//! file.

pub mod chart;
pub mod draw;
pub mod summary;
pub mod text;
