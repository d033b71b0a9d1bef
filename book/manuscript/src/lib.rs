//! The book's pages as their authors write them, and the checks of what no page may contain.
//!
//! ```text
//! files     lists, reads and replaces files
//! includes  the directives that include a file, or an anchored part of a file
//! listings  rewrites included code for mdBook, and writes an HTML page for each included source
//! pages     the pages in the order of the table of contents, and their sections
//! problem   a problem that a check has found
//! checks    a file for each check
//! ```
//!
//! Each module uses only the modules above it in this list. Nothing here renders Markdown, and
//! nothing depends on the lab: the checks of recorded results and of derived files are in the
//! book's program.

pub mod checks;
pub mod files;
mod includes;
pub mod listings;
pub mod pages;
pub mod problem;
