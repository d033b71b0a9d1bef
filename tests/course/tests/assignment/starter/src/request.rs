//! One request out of a buffer, to be written.
