//! Renders the book and serves it.
fn main() {}
