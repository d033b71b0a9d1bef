//! Tests that any sequence of responses gives the same result, wherever the stream is cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{HeadCache, Malformed, Parser, Response};

/// Returns a proptest strategy that generates a response, as bytes, and its status.
fn response() -> impl Strategy<Value = (Vec<u8>, u16)> {
    let by_length = (0_usize..300, 200_u16..600).prop_map(|(length, status)| {
        let length = if matches!(status, 204 | 304) { 0 } else { length };
        let head = format!(
            "HTTP/1.1 {status} Some words\r\ncontent-LENGTH: {length}\r\nX: y\r\n\r\n"
        );
        ([head.as_bytes(), &vec![b'\n'; length]].concat(), status)
    });
    let without = Just((b"HTTP/1.1 304 \r\nContent-Length: 77\r\n\r\n".to_vec(), 304));
    let interim = Just((b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\nx".to_vec(), 201));
    let chunked =
        (vec(vec(any::<u8>(), 1..40), 0..4), 0_u8..3).prop_map(|(chunks, trailers)| {
            let mut bytes =
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                bytes.extend(format!("{:X};a=\"b\"\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n");
            bytes.extend(b"Trailer: value\r\n".repeat(trailers.into()));
            bytes.extend(b"\r\n");
            (bytes, 200)
        });
    prop_oneof![4 => by_length, 1 => without, 1 => interim, 2 => chunked]
}

/// Parses a stream that arrives in pieces. Returns the responses, and the parser.
fn found(pieces: &[&[u8]]) -> Result<(Vec<Response>, Parser), Malformed> {
    found_of(pieces, None)
}

/// Parses a stream that arrives in pieces, and expects the content `content` in every response.
/// Returns the responses, and the parser.
fn found_of(
    pieces: &[&[u8]],
    content: Option<&[u8]>,
) -> Result<(Vec<Response>, Parser), Malformed> {
    let mut cache = HeadCache::new(content.map(<[u8]>::to_vec));
    let (mut answers, mut all) = (Parser::default(), vec![]);
    for piece in pieces {
        let mut bytes = *piece;
        while let Some(response) = answers.next(&mut bytes, &mut cache)? {
            all.push(response);
        }
        assert!(bytes.is_empty(), "the parser consumes everything");
    }
    Ok((all, answers))
}

proptest! {
    #[test]
    fn cuts_make_no_difference(
        // Responses repeat, as they do on a real connection, so that the head cache is used.
        answers in vec((response(), 1_usize..4), 1..6),
        mut cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let repeated = answers.iter().flat_map(|(one, times)| std::iter::repeat_n(one, *times));
        let (all, expected): (Vec<&[u8]>, Vec<Response>) = repeated
            .map(|(bytes, status)| {
                let response = Response { status: *status, bytes: bytes.len() as u64, last: false };
                (&bytes[..], response)
            })
            .unzip();
        let all = all.concat();
        cuts.sort_by_key(|cut| cut.index(all.len()));
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            let cut = cut.index(all.len());
            pieces.push(&all[from..cut]);
            from = cut;
        }
        pieces.push(&all[from..]);
        let (got, _) = found(&pieces).map_err(|_| TestCaseError::fail("malformed"))?;
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..400)) {
        let _ = found(&[&bytes]); // an error is fine; a panic is not
        let behind = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
        let _ = found(&[&behind]);
    }
}

#[test]
fn the_end_of_the_connection_ends_an_answer_without_length() -> Result<(), Malformed> {
    let (all, mut answers) = found(&[b"HTTP/1.1 200 OK\r\n\r\nabc", b"de"])?;
    assert_eq!(all, []);
    assert_eq!(answers.end(), Some(Response { status: 200, bytes: 24, last: true }));
    assert_eq!(answers.end(), None);
    Ok(())
}

#[test]
fn a_head_that_announces_the_close_is_the_last() -> Result<(), Malformed> {
    for (head, last) in [
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let (all, _) = found(&[head.as_bytes()])?;
        assert_eq!(all.first().map(|response| response.last), Some(last), "{head}");
    }
    Ok(())
}

#[test]
fn an_unexpected_content_is_malformed() {
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello";
    for cut in 0..response.len() {
        let (first, second) = response.split_at(cut);
        for (content, fine) in [
            ("Hello", true),
            ("Jello", false),
            ("Hellx", false),
            ("Hell", false),
            ("Hello!", false),
        ] {
            let found = found_of(&[first, second], Some(content.as_bytes()));
            assert_eq!(
                found.is_ok_and(|(all, _)| all.len() == 1),
                fine,
                "{content}, {cut}"
            );
        }
    }
    let expected = Some(&b"Hello"[..]);
    let refusal = b"HTTP/1.1 503 Full\r\nContent-Length: 4\r\n\r\nFull";
    assert!(found_of(&[refusal], expected).is_ok(), "only 2xx contents are compared");
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n";
    assert!(found_of(&[chunked], expected).is_err());
}

#[test]
fn bytes_that_are_no_response_are_malformed() {
    for bytes in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 2xx OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1111111111111111\r\n",
    ] {
        assert!(found(&[bytes.as_bytes()]).is_err(), "{bytes}");
    }
    let endless = [b"HTTP/1.1 200 OK\r\n", &[b'x'; super::LARGEST_HEAD][..]].concat();
    assert!(found(&[&endless]).is_err());
}
