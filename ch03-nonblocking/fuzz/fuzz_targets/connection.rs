//! Fuzz target: whatever bytes a client sends, the server's answers do not depend on how the input,
//! the output and the readiness events are split into pieces.
#![no_main]

#[path = "../../tests/wire/mod.rs"]
mod wire;

use ch01_blocking::Site;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| wire::site(wire::root()))
}

fuzz_target!(
    init: {
        // A request for `/panic` panics on purpose, so the fuzzer does not report that panic.
        let finding = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |what| {
            if !what.to_string().contains("was asked for") {
                finding(what);
            }
        }));
    },
    |input: &[u8]| wire::is_the_same_however_cut(site(), input)
);
