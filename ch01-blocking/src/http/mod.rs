//! HTTP/1.1: received bytes become requests, and responses become bytes to send.
//!
//! This module decides from bytes that have already arrived, so a blocking thread, an
//! event loop and a coroutine can all use it. An [`Inbox`] collects the received bytes
//! and returns a request as complete, partial or refused; an [`Outbox`] collects the
//! answers to send.
//!
//! Three functions do more than compute: [`Outbox::flush`] calls a stream, which may
//! wait; [`Outbox::push`] reads a small file; and [`HttpDate::now`] reads the clock.
//!
//! ```
//! use ch01_blocking::http::{Inbox, Limits, Parsed};
//!
//! let limits = Limits::default();
//! let mut inbox = Inbox::new();
//! inbox.receive(b"GET /plaintext HTTP/1.1\r\nHo");
//! assert!(matches!(inbox.next(&limits), Parsed::Partial { .. }));
//! inbox.receive(b"st: example\r\n\r\n");
//! let Parsed::Complete(request) = inbox.next(&limits) else { panic!() };
//! assert_eq!(request.path, b"/plaintext");
//! ```

mod body_stream;
mod chunked;
mod date;
mod head;
mod inbox;
mod limits;
mod outbox;
mod request;
mod response;

pub use body_stream::{BodyStream, NextPiece};
pub use date::HttpDate;
pub use inbox::{Inbox, Parsed};
pub use limits::{Budget, Limits, MAX_FIELDS};
pub use outbox::Outbox;
pub use request::{Conditions, EntityTags, Method, Request, ResponseContext, Version};
pub use response::{Body, ExtraHeader, FileVersion, HttpError, Response, reason_phrase};

/// Returns whether every percent sign in `text` is followed by two hexadecimal digits (RFC
/// 3986 section 2.1).
pub(crate) fn percent_signs_are_fine(text: &[u8]) -> bool {
    let mut rest = text.split(|&byte| byte == b'%');
    rest.next(); // the text before the first percent sign
    rest.all(percent_digits)
}

/// Returns whether `text` begins with two hexadecimal digits, as it must after a percent
/// sign.
pub(crate) fn percent_digits(text: &[u8]) -> bool {
    text.len() >= 2 && text[..2].iter().all(u8::is_ascii_hexdigit)
}

/// Parses a decimal number of at least one digit, without sign or space. Returns `None`
/// for anything else. A number that does not fit in 64 bits becomes `u64::MAX`: such a
/// number is too large, but not malformed.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let digit = |number: u64, &byte: &u8| {
        number.saturating_mul(10).saturating_add(u64::from(byte - b'0'))
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, digit))
}
