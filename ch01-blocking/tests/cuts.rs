//! Tests that parsing requests gives the same result, however their bytes are cut into
//! pieces.

#[path = "verdicts/mod.rs"]
mod verdicts;

use ch01_blocking::http::{Inbox, Limits, Parsed};
use proptest::collection::vec;
use proptest::prelude::*;
use verdicts::{Verdict, are_the_same_however_cut, small_limits, verdicts};

/// Returns a proptest strategy for pieces of requests, valid and malformed.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET /plaintext HTTP/1.1\r\n",
        "POST /echo HTTP/1.1\r\n",
        "GET http://h/p?q HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "BREW / HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "GET /",
        " HTTP/1.1\r\n",
        "Host: h\r\n",
        "Host: h\n",
        "Host : h\r\n",
        "Host: a b\r\n",
        " folded\r\n",
        "A: b\r\n",
        "Long: aaaaaaaaaaaaaaaaaaaaaaa\r\n",
        "Content-Length: 3\r\n",
        "content-length: 300\r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Connection: close\r\n",
        "Expect: 100-continue\r\n",
        "Range: bytes=1-2\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "3\r\nabc\r\n",
        "1;ext=1\r\nx\r\n",
        "0\r\n\r\n",
        "0\r\nT: x\r\n\r\n",
        "0\r\nbad\r\n\r\n",
        "ffffffffffffffff\r\n",
        "abc",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "\0",
        "\u{e9}",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![30 => known, 1 => vec(any::<u8>(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn cuts_do_not_matter(pieces in vec(piece(), 1..14), cuts in vec(1usize..30, 1..8)) {
        let bytes = pieces.concat();
        let whole = verdicts(&bytes, &[], &small_limits());
        prop_assert_eq!(&whole, &verdicts(&bytes, &[1], &small_limits()), "byte by byte");
        prop_assert_eq!(&whole, &verdicts(&bytes, &cuts, &small_limits()), "cut at {:?}", cuts);
    }
}

/// Replays the fuzzer's corpus (see CONTRIBUTING.md).
#[test]
fn the_corpus() -> std::io::Result<()> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/inbox");
    let mut inputs = 0;
    for input in std::fs::read_dir(corpus)? {
        let path = input?.path();
        println!("{}", path.display()); // shown only if the test fails
        are_the_same_however_cut(&std::fs::read(&path)?);
        inputs += 1;
    }
    assert!(inputs > 100, "{inputs} inputs: the corpus is missing");
    Ok(())
}

/// Tries every pair of cuts in a pipelined burst of all kinds of requests.
#[test]
fn every_byte_boundary() {
    let burst = b"\r\nGET /a?b HTTP/1.1\r\nHost: h\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcHEAD / HTTP/1.0\r\n\r\n";
    let limits = Limits::default();
    let whole = verdicts(burst, &[], &limits);
    assert_eq!(whole.len(), 4, "{whole:?}");
    assert!(matches!(&whole[1], Verdict::Request { body, .. } if body == b"hello!"));
    for first in 1..burst.len() {
        for second in 1..burst.len() - first {
            assert_eq!(
                whole,
                verdicts(burst, &[first, second, usize::MAX], &limits),
                "cut after {first} and {second} more"
            );
        }
    }
}

/// An inbox returns all claimed bytes to the memory budget when its last request is
/// answered, and when it is cleared.
#[test]
fn the_budget_comes_back() {
    let limits = Limits::default();
    let all = limits.buffered.left();
    let mut inbox = Inbox::new();
    inbox.receive(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    for _ in 0..1000 {
        assert!(matches!(inbox.next(&limits), Parsed::Partial { .. }));
        inbox.receive(&[b'x'; 1000]);
    }
    assert!(
        limits.buffered.left() < all - 900_000,
        "buffered bytes count against the budget"
    );
    assert!(
        matches!(inbox.next(&limits), Parsed::Complete(request) if request.body.len() == 1_000_000)
    );
    assert!(matches!(inbox.next(&limits), Parsed::Partial { .. }));
    assert_eq!(limits.buffered.left(), all, "an idle connection uses none of the budget");
    inbox.receive(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    inbox.receive(&[b'x'; 15_000]);
    assert!(matches!(inbox.next(&limits), Parsed::Partial { .. }));
    assert!(limits.buffered.left() < all, "reserved bytes count against the budget");
    inbox.clear();
    assert_eq!(limits.buffered.left(), all, "a cleared inbox uses none of the budget");
}
