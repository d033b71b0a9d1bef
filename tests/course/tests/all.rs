//! All tests of the course, except those of servers in other languages, in one program, so
//! that they wait at the same time.

mod grade;
mod ladder;
mod plan;
mod sandbox;
