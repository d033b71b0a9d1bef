//! A request: a complete message, borrowed from the input buffer.

/// A request method (RFC 9110 section 9). Names are case-sensitive: `get` is
/// [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each variant is the method of its name
pub enum Method {
    Get,
    Head,
    Post,
    Options,
    Put,
    Delete,
    Patch,
    Trace,
    /// Any other method; a request with it is answered with 501.
    Other,
}

impl Method {
    pub(super) fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "PATCH" => Method::Patch,
            "TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// Returns the name as written in a request line; `(other)` for [`Method::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Options => "OPTIONS",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Other => "(other)",
        }
    }
}

/// A version of HTTP/1; both versions share one syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    Http11,
}

/// A complete request. It borrows from its [`Inbox`](super::Inbox), so nothing is
/// copied, and the request is valid until the next request is parsed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'b> {
    /// The method; [`Method::Other`] if the server does not know its name.
    pub method: Method,
    /// The target's path as sent: ASCII, not percent-decoded; `*` for `OPTIONS *`.
    pub path: &'b [u8],
    /// The part of the request target after `?`, if there is one; ASCII.
    pub query: Option<&'b [u8]>,
    /// The client's version of HTTP.
    pub version: Version,
    /// Whether the client wants to keep the connection open (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// The bytes of the request's head.
    pub(super) head: &'b [u8],
    /// The content, decoded from its chunks; empty if the request has none.
    pub body: &'b [u8],
}

impl<'b> Request<'b> {
    /// Returns the properties of the request that the head of its answer depends on.
    /// The copy does not borrow from the input buffer.
    pub fn response_context(&self) -> ResponseContext {
        ResponseContext {
            method: self.method,
            version: self.version,
            keep_alive: self.keep_alive,
        }
    }
}

/// The properties of a request that the head of its answer depends on: see
/// [`Request::response_context`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the fields are those of `Request`
pub struct ResponseContext {
    pub method: Method,
    pub version: Version,
    pub keep_alive: bool,
}

/// The header fields that make a request conditional or partial (RFC 9110 sections 13
/// and 14), as sent. A list may be split over several lines; any other field that occurs
/// twice is ignored.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // each is the header field of the same name
pub struct Conditions<'b> {
    pub if_match: EntityTags<'b>,
    pub if_none_match: EntityTags<'b>,
    pub if_modified_since: Option<&'b [u8]>,
    pub if_unmodified_since: Option<&'b [u8]>,
    pub if_range: Option<&'b [u8]>,
    pub range: Option<&'b [u8]>,
}

/// The values of a field that is a list of entity tags, one value per line (RFC 9110
/// section 5.3). At most four lines are kept, so that no allocation is needed. Ignoring
/// further lines is safe: at worst the answer is the file instead of 304, or 412
/// instead of the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntityTags<'b>([&'b [u8]; 4]);

impl<'b> EntityTags<'b> {
    pub(super) fn add(&mut self, value: &'b [u8]) {
        if let Some(free) = self.0.iter_mut().find(|line| line.is_empty()) {
            *free = value;
        }
    }

    /// Returns whether the field is absent or empty.
    pub fn is_empty(&self) -> bool {
        self.0[0].is_empty()
    }

    /// Returns the field's values, one for each line.
    pub fn iter(&self) -> impl Iterator<Item = &'b [u8]> {
        self.0.into_iter().filter(|line| !line.is_empty())
    }
}
