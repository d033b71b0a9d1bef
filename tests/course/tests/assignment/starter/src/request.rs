//! Parses one request from a buffer: for the student to write.
