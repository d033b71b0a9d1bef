//! The tests of the book's program and pages; each module is a file beside this one. The modules
//! share a program because linking takes time, and because most tests wait: while one waits,
//! others run.

mod browser;
mod cli;
mod lab;
mod live;
mod live_page;
mod pages;
mod picture;
mod sections;
mod transcripts;
mod webdriver;
