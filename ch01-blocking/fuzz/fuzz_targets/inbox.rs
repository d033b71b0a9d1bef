//! Fuzz target: for any bytes, the results of parsing do not depend on how the bytes
//! are cut into pieces.
#![no_main]

#[path = "../../tests/verdicts/mod.rs"]
mod verdicts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| verdicts::are_the_same_however_cut(input));
