//! The verdict never depends on how the bytes were cut, whatever the bytes.
#![no_main]

#[path = "../../tests/verdicts/mod.rs"]
mod verdicts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| verdicts::are_the_same_however_cut(input));
