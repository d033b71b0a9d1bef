//! One answer, parsed strictly: what a client may rely on must be there.

use crate::verdict::{Step, Stop, Verdict, demand};

/// A complete answer.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The fields, in order, as they came.
    pub fields: Vec<(String, String)>,
    /// The content, its transfer coding taken off.
    pub content: Vec<u8>,
}

impl Response {
    /// Parses a head, the empty line included.
    pub fn parse_head(head: &[u8]) -> Result<Self, String> {
        let text: String = head.iter().map(|&byte| char::from(byte)).collect();
        let text =
            text.strip_suffix("\r\n\r\n").ok_or("a head without its empty line")?;
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default();
        if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
            return Err("a CR, LF or NUL alone within the head".to_owned());
        }
        let mut parts = line.splitn(3, ' ');
        let version = parts.next().unwrap_or_default().to_owned();
        let code = parts.next().unwrap_or_default();
        if !matches!(version.as_str(), "HTTP/1.1" | "HTTP/1.0") {
            return Err(format!(
                "a status line that does not begin with HTTP/1.1: {line:?}"
            ));
        }
        if parts.next().is_none() {
            return Err(format!(
                "a status line without the space behind the code: {line:?}"
            ));
        }
        let status = match code.parse::<u16>() {
            Ok(status) if code.len() == 3 && (100..600).contains(&status) => status,
            _ => return Err(format!("a status code that is none: {line:?}")),
        };
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Self { status, version, fields, content: Vec::new() })
    }

    /// The one value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether a list field (such as Connection or Allow) has this element.
    pub fn lists(&self, name: &str, element: &str) -> bool {
        let values = self.all(name);
        values
            .iter()
            .flat_map(|v| v.split(','))
            .any(|e| e.trim().eq_ignore_ascii_case(element))
    }

    /// Whether the connection ends with this answer (RFC 9112 section 9.3).
    pub fn tells_end(&self) -> bool {
        let old = self.version == "HTTP/1.0" && !self.lists("Connection", "keep-alive");
        old || self.lists("Connection", "close")
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    /// The announced length, if it is one.
    pub fn length(&self) -> Option<u64> {
        self.field("Content-Length").and_then(|value| value.parse().ok())
    }

    /// Demands a status.
    pub fn is(&self, status: u16) -> Step<&Self> {
        self.one_of(&[status])
    }

    /// Demands one of several statuses.
    pub fn one_of(&self, statuses: &[u16]) -> Step<&Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        let expected = status_list(statuses);
        Err(Stop::fail(expected, format!("status {} ({})", self.status, self.excerpt())))
    }

    /// Demands this content, byte for byte.
    pub fn holds(&self, content: impl AsRef<[u8]>) -> Step<&Self> {
        let wanted = content.as_ref();
        if self.content == wanted {
            return Ok(self);
        }
        let same = self.content.iter().zip(wanted).take_while(|(a, b)| a == b).count();
        let at = same.saturating_sub(8);
        let came = &self.content[at.min(self.content.len())..];
        let expected =
            crate::show::bytes(&wanted[at..wanted.len().min(at + 80)], wanted.len());
        let got = crate::show::bytes(&came[..came.len().min(80)], self.content.len());
        Err(Stop::fail(
            format!("content of {} bytes, from byte {at}: {expected}", wanted.len()),
            format!(
                "content of {} bytes, the same up to byte {same}, from byte {at}: {got}",
                self.content.len()
            ),
        ))
    }

    /// Demands a field with exactly this value.
    pub fn has(&self, name: &str, value: &str) -> Step<&Self> {
        let came = match self.field(name) {
            Some(got) if got == value => return Ok(self),
            Some(got) => format!("{name}: {got}"),
            None => format!("no {name} field"),
        };
        Err(Stop::fail(format!("{name}: {value}"), came))
    }

    /// Demands that a list field has this element.
    pub fn names(&self, name: &str, element: &str) -> Step<&Self> {
        let came = match self.all(name) {
            none if none.is_empty() => format!("no {name} field"),
            all => format!("{name}: {}", all.join(", ")),
        };
        demand(
            self.lists(name, element),
            format!("{name}: {element} (alone or in a list)"),
            came,
        )?;
        Ok(self)
    }

    /// Demands that a field is not there.
    pub fn lacks(&self, name: &str) -> Verdict {
        let came = self.field(name).unwrap_or_default();
        demand(
            self.field(name).is_none(),
            format!("no {name} field"),
            format!("{name}: {came}"),
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

/// Statuses in words.
pub(crate) fn status_list(statuses: &[u16]) -> String {
    let names: Vec<_> = statuses.iter().map(ToString::to_string).collect();
    format!("status {}", names.join(" or "))
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) =
        line.split_once(':').ok_or(format!("a field without colon: {line:?}"))?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err(format!("a field name that is no token: {line:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}
