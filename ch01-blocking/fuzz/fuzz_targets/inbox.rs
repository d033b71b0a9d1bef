//! The verdict never depends on how the bytes were cut, whatever the bytes.
#![no_main]

#[path = "../../tests/verdicts/mod.rs"]
mod verdicts;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The first bytes say where to cut, the rest is what came.
    let Some((cuts, bytes)) = input.split_at_checked(4) else { return };
    let cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) + 1).collect();
    let limits = verdicts::small_limits();
    let whole = verdicts::verdicts(bytes, &[], &limits);
    assert_eq!(whole, verdicts::verdicts(bytes, &cuts, &limits), "cut");
    assert_eq!(whole, verdicts::verdicts(bytes, &[1], &limits), "byte by byte");
});
