//! One response, parsed strictly, and assertions about it.

use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// A complete response of the server.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code, from 100 to 599.
    pub status: u16,
    /// The response's protocol version: `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The names and values of the header fields, in the order received.
    pub fields: Vec<(String, String)>,
    /// The response's content, with the transfer coding removed.
    pub content: Vec<u8>,
}

impl Response {
    /// Parses a head, including the empty line.
    ///
    /// # Errors
    ///
    /// Describes the first violation of RFC 9112.
    pub fn parse_head(head: &[u8]) -> Result<Self, String> {
        let text: String = head.iter().map(|&byte| char::from(byte)).collect();
        let text =
            text.strip_suffix("\r\n\r\n").ok_or("a head without its empty line")?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err("a lone CR, LF or NUL within the head".to_owned());
        }
        let mut parts = line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        let code = parts.next().unwrap_or_default();
        if !matches!(version.as_str(), "HTTP/1.1" | "HTTP/1.0") {
            return Err(format!(
                "a status line that does not begin with HTTP/1.1 or HTTP/1.0: {line:?}"
            ));
        }
        if parts.next().is_none() {
            return Err(format!(
                "a status line without a space after the status code: {line:?}"
            ));
        }
        let status = match code.parse::<u16>() {
            Ok(status) if code.len() == 3 && (100..600).contains(&status) => status,
            _ => return Err(format!("an invalid status code: {line:?}")),
        };
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Self { status, version, fields, content: Vec::new() })
    }

    /// Returns the first value of the field `name`, or `None` if the response lacks the field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Returns every value of the field `name`, in the order received.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, v)| v.as_str()).collect()
    }

    /// Returns whether a list field (such as Connection or Allow) contains this element.
    pub fn list_contains(&self, name: &str, element: &str) -> bool {
        let values = self.all(name);
        values
            .iter()
            .flat_map(|v| v.split(','))
            .any(|e| e.trim().eq_ignore_ascii_case(element))
    }

    /// Returns whether the connection ends after this response (RFC 9112 section 9.3).
    pub fn announces_close(&self) -> bool {
        let old =
            self.version == "HTTP/1.0" && !self.list_contains("Connection", "keep-alive");
        old || self.list_contains("Connection", "close")
    }

    /// Returns the response's content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// Returns the value of Content-Length, or `None` if the field is absent or not a number.
    pub fn length(&self) -> Option<u64> {
        self.field("Content-Length").and_then(|value| value.parse().ok())
    }

    /// Asserts that the status is `status`. Returns the response.
    pub fn is(&self, status: u16) -> CaseResult<&Self> {
        self.one_of(&[status])
    }

    /// Asserts that the status is one of `statuses`. Returns the response.
    pub fn one_of(&self, statuses: &[u16]) -> CaseResult<&Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let expected = status_list(statuses);
        Err(Abort::fail(expected, format!("status {} ({})", self.status, self.excerpt())))
    }

    /// Asserts that the content equals `content`, byte for byte. Returns the response.
    pub fn has_content(&self, content: impl AsRef<[u8]>) -> CaseResult<&Self> {
        let wanted = content.as_ref();
        if self.content == wanted {
            return Ok(self);
        }
        let same = self.content.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let at = same.saturating_sub(8);
        let actual = &self.content[at.min(self.content.len())..];
        let expected =
            crate::show::bytes(&wanted[at..wanted.len().min(at + 80)], wanted.len());
        let got = crate::show::bytes(&actual[..actual.len().min(80)], self.content.len());
        Err(Abort::fail(
            format!("content of {} bytes, from byte {at}: {expected}", wanted.len()),
            format!(
                "content of {} bytes, which differs at byte {same}; from byte {at}: {got}",
                self.content.len()
            ),
        ))
    }

    /// Asserts that a field has exactly this value.
    pub fn has(&self, name: &str, value: &str) -> CaseResult<&Self> {
        let actual = match self.field(name) {
            Some(got) if got == value => return Ok(self),
            Some(got) => format!("{name}: {got}"),
            None => format!("no {name} field"),
        };
        Err(Abort::fail(format!("{name}: {value}"), actual))
    }

    /// Asserts that a list field contains this element.
    pub fn list_has(&self, name: &str, element: &str) -> CaseResult<&Self> {
        let actual = match self.all(name) {
            none if none.is_empty() => format!("no {name} field"),
            all => format!("{name}: {}", all.join(", ")),
        };
        ensure(
            self.list_contains(name, element),
            format!("{name}: {element} (alone or in a list)"),
            actual,
        )?;
        Ok(self)
    }

    /// Asserts that a field is absent.
    pub fn lacks(&self, name: &str) -> Verdict {
        let actual = self.field(name).unwrap_or_default();
        ensure(
            self.field(name).is_none(),
            format!("no {name} field"),
            format!("{name}: {actual}"),
        )
    }

    fn excerpt(&self) -> String {
        if self.content.is_empty() {
            return "no content".to_owned();
        }
        let end = self.content.len().min(120);
        crate::show::bytes(&self.content[..end], self.content.len())
    }
}

/// Formats statuses for the expectation of a failure report, such as `status 400 or 414`.
pub(crate) fn status_list(statuses: &[u16]) -> String {
    let names: Vec<_> = statuses.iter().map(ToString::to_string).collect();
    format!("status {}", names.join(" or "))
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) =
        line.split_once(':').ok_or(format!("a field line without a colon: {line:?}"))?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("a field name that is not a token: {line:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}
