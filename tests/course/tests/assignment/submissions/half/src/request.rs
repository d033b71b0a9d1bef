//! Parses one request at the beginning of a buffer.

/// The parts of a request that the server needs; content is not expected.
pub struct Request {
    pub target: String,
    pub close: bool,
}

/// The error for bytes that are not a valid request.
pub struct Malformed;

/// Returns the first request in `bytes` and the request's length in bytes, or `None` if the
/// request's head is not complete yet.
pub fn first(bytes: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > 8192 { Err(Malformed) } else { Ok(None) };
    };
    let head = str::from_utf8(&bytes[..end]).map_err(|_| Malformed)?;
    let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ');
    let (Some(_), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Malformed);
    };
    let mut close = false; // all fields except Connection are ignored
    for field in fields.lines() {
        let (name, value) = field.split_once(':').ok_or(Malformed)?;
        match name.to_ascii_lowercase().as_str() {
            "connection" => close = value.to_ascii_lowercase().contains("close"),
            _ => {}
        }
    }
    Ok(Some((Request { target: target.to_owned(), close }, end + 4)))
}
