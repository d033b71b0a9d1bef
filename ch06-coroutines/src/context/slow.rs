//! The switch as one would write it first.
