//! Tests that a client receives the same bytes, however the input, the output and the readiness
//! events are split into pieces.

#[path = "wire/mod.rs"]
mod wire;

use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Seen, blocking, driven, is_the_same_however_cut, root, site};

/// Returns a proptest strategy for requests, valid and malformed, and for arbitrary bytes.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let get =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
    let whole = prop::sample::select(vec![
        get("/plaintext"),
        get("/plaintext").repeat(30),
        get("/small"),
        get("/large"),
        get("/bytes/100"),
        get("/bytes/20000"),
        get("/bytes/70000"),
        get("/sleep/1"),
        get("/sleep/60000"),
        get("/missing"),
        get("/panic"),
        get("/stats"),
        b"HEAD /large HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"GET /large HTTP/1.1\r\nHost: h\r\nRange: bytes=7-20007\r\n\r\n".to_vec(),
        b"GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /plaintext HTTP/1.0\r\n\r\n".to_vec(),
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello".to_vec(),
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n".to_vec(),
        b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHo".to_vec(),
        b"\r\n".to_vec(),
        vec![b'x'; 100_000],
    ]);
    prop_oneof![30 => whole, 1 => vec(any::<u8>(), 1..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn cuts_do_not_matter(
        pieces in vec(piece(), 1..6),
        closes: bool,
        script in vec(any::<u8>(), 0..200),
    ) {
        let site = SITE.with(|site| *site);
        let sent = pieces.concat();
        let whole = blocking(site, &sent, closes);
        if whole.has_counters() {
            // The counters of `/stats` differ between two runs, so the outputs cannot be compared.
            return Ok(());
        }
        prop_assert_eq!(Shown(&whole), Shown(&driven(site, &sent, closes, &script)));
    }
}

thread_local! {
    static SITE: &'static ch01_blocking::Site = {
        // `/panic` panics on purpose; the message of that panic is not printed.
        std::panic::set_hook(Box::new(|what| {
            if !what.to_string().contains("was asked for") {
                eprintln!("{what}");
            }
        }));
        Box::leak(Box::new(site(root())))
    };
}

/// The output of a server, which proptest prints in this short form when a test fails.
#[derive(PartialEq)]
struct Shown<'a>(&'a Seen);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = &self.0.bytes;
        let tail = &bytes[bytes.len().saturating_sub(300)..];
        write!(f, "{} bytes, … {:?}", bytes.len(), String::from_utf8_lossy(tail))
    }
}

/// Replays the corpus that the fuzz target `connection` has collected (see CONTRIBUTING.md).
#[test]
fn the_corpus() -> std::io::Result<()> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/connection");
    let site = SITE.with(|site| *site);
    let mut inputs = 0;
    for input in std::fs::read_dir(corpus)? {
        let path = input?.path();
        println!("{}", path.display()); // printed if the test fails
        is_the_same_however_cut(site, &std::fs::read(&path)?);
        inputs += 1;
    }
    assert!(inputs > 100, "{inputs} inputs: the corpus is missing");
    Ok(())
}

/// Tests that the client receives the same bytes if input and output move one byte at a time.
#[test]
fn byte_by_byte() {
    let site = SITE.with(|site| *site);
    let sent = b"GET /small HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloHEAD / HTTP/1.0\r\n\r\n";
    for closes in [false, true] {
        let whole = blocking(site, sent, closes);
        assert!(whole.bytes.ends_with(b"\r\n\r\n"), "{:?}", Shown(&whole));
        // Each script lets one byte of input arrive or makes room for one byte of output in each
        // step, and reports the events after every step, or after every third.
        for script in [[2, 1, 3, 1, 3, 1], [2, 1, 2, 0, 3, 0], [2, 0, 3, 0, 3, 9]] {
            let seen = driven(site, sent, closes, &script.repeat(2000));
            assert_eq!(Shown(&whole), Shown(&seen));
        }
    }
}
