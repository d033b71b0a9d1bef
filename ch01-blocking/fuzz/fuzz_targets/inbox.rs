//! Fuzz target: the results of parsing never depend on how the bytes are cut into pieces,
//! whatever the bytes.
#![no_main]

#[path = "../../tests/verdicts/mod.rs"]
mod verdicts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| verdicts::are_the_same_however_cut(input));
