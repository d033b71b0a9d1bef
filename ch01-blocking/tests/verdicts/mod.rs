//! Parses bytes with an inbox, in pieces of any size. The property test (`cuts.rs`) and
//! the fuzz target share this module.

use ch01_blocking::http::{Budget, Inbox, Limits, Parsed};

/// The result of parsing one message: a complete request or a refusal. Unlike [`Parsed`]
/// the value owns its data, so that results can be collected and compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Request { head: String, body: Vec<u8> },
    Refused(u16, &'static str),
}

/// Returns limits so small that short inputs exceed them.
pub(crate) fn small_limits() -> Limits {
    Limits {
        line: 40,
        head: 160,
        fields: 5,
        body: 200,
        output: 1024,
        buffered: Budget::new(1 << 20),
    }
}

/// Parses one input of the fuzz target, once whole and once in pieces: the input's first four bytes
/// are the sizes of the pieces, the rest is the data to parse. The results of
/// both must be the same.
pub(crate) fn are_the_same_however_cut(input: &[u8]) {
    let Some((cuts, bytes)) = input.split_at_checked(4) else { return };
    let cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) + 1).collect();
    let limits = small_limits();
    let whole = verdicts(bytes, &[], &limits);
    assert_eq!(whole, verdicts(bytes, &cuts, &limits), "cut");
    assert_eq!(whole, verdicts(bytes, &[1], &limits), "byte by byte");
}

/// Feeds the bytes to an inbox in pieces, and returns the results. `cuts` lists the
/// sizes of the pieces, and is repeated as necessary; if it is empty, there is one
/// piece.
pub(crate) fn verdicts(bytes: &[u8], cuts: &[usize], limits: &Limits) -> Vec<Verdict> {
    let mut inbox = Inbox::new();
    let mut said = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = cuts.next().map_or(rest.len(), |&cut| cut.clamp(1, rest.len()));
        let (piece, later) = rest.split_at(size);
        rest = later;
        // Like a stream, this loop copies into the space that the inbox offers, which
        // may be smaller than the piece.
        let mut piece = piece;
        while !piece.is_empty() {
            let space = inbox.space();
            assert!(
                !space.is_empty(),
                "an inbox that needs more input must have room for it"
            );
            let n = space.len().min(piece.len());
            space[..n].copy_from_slice(&piece[..n]);
            inbox.received(n);
            piece = &piece[n..];
            loop {
                match inbox.next(limits) {
                    Parsed::Complete(request) => said.push(Verdict::Request {
                        head: format!(
                            "{:?} {} {:?} {:?} {} {:?}",
                            request.method,
                            request.path.escape_ascii(),
                            request.query.map(|query| query.escape_ascii().to_string()),
                            request.version,
                            request.keep_alive,
                            request.conditions()
                        ),
                        body: request.body.to_vec(),
                    }),
                    Parsed::Partial { .. } => break,
                    Parsed::Refused(why) => {
                        said.push(Verdict::Refused(why.status, why.reason));
                        return said;
                    }
                }
            }
        }
    }
    said
}
