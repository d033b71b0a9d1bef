//! Whatever the answers, and wherever they are cut: the same is found.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Answer, Answers, Known, Malformed};

/// An answer, and what is to be found of it.
fn answer() -> impl Strategy<Value = (Vec<u8>, u16)> {
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

/// Everything that is found, piece by piece.
fn found(pieces: &[&[u8]]) -> Result<(Vec<Answer>, Answers), Malformed> {
    found_of(pieces, None)
}

/// The same, where this is to come.
fn found_of(
    pieces: &[&[u8]],
    content: Option<&[u8]>,
) -> Result<(Vec<Answer>, Answers), Malformed> {
    let mut known = Known::new(content.map(<[u8]>::to_vec));
    let (mut answers, mut all) = (Answers::default(), vec![]);
    for piece in pieces {
        let mut bytes = *piece;
        while let Some(answer) = answers.next(&mut bytes, &mut known)? {
            all.push(answer);
        }
        assert!(bytes.is_empty(), "nothing is left over");
    }
    Ok((all, answers))
}

proptest! {
    #[test]
    fn cuts_make_no_difference(
        // Often the same several times, as servers do it.
        answers in vec((answer(), 1_usize..4), 1..6),
        mut cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let repeated = answers.iter().flat_map(|(one, times)| std::iter::repeat_n(one, *times));
        let (all, expected): (Vec<&[u8]>, Vec<Answer>) = repeated
            .map(|(bytes, status)| {
                let answer = Answer { status: *status, bytes: bytes.len() as u64, last: false };
                (&bytes[..], answer)
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
    fn nothing_is_too_strange(bytes in vec(any::<u8>(), 0..400)) {
        let _ = found(&[&bytes]); // it may be malformed, but that is all
        let behind = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
        let _ = found(&[&behind]);
    }
}

#[test]
fn the_end_of_the_connection_ends_an_answer_without_length() -> Result<(), Malformed> {
    let (all, mut answers) = found(&[b"HTTP/1.1 200 OK\r\n\r\nabc", b"de"])?;
    assert_eq!(all, []);
    assert_eq!(answers.end(), Some(Answer { status: 200, bytes: 24, last: true }));
    assert_eq!(answers.end(), None);
    Ok(())
}

#[test]
fn who_will_close_says_so() -> Result<(), Malformed> {
    for (head, last) in [
        ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let (all, _) = found(&[head.as_bytes()])?;
        assert_eq!(all.first().map(|answer| answer.last), Some(last), "{head}");
    }
    Ok(())
}

#[test]
fn another_content_than_the_expected_one() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello";
    for cut in 0..answer.len() {
        let (first, second) = answer.split_at(cut);
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
    assert!(found_of(&[refusal], expected).is_ok(), "its status says enough");
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n";
    assert!(found_of(&[chunked], expected).is_err());
}

#[test]
fn what_is_no_answer() {
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
