//! The field lines of heads and trailers: parsing, limits, and lookup.

use crate::error::{bad, refuse};
use crate::mutations::Mutation;
use crate::switch::wrong;
use crate::wire::{Deadline, End, LineError, Wire};

/// Fields in the order in which they were received.
#[derive(Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Returns every value of the field `name`.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0
            .iter()
            .filter(move |(other, _)| {
                if wrong(Mutation::CaseSensitiveNames) {
                    other == name
                } else {
                    other.eq_ignore_ascii_case(name)
                }
            })
            .map(|(_, value)| value.as_str())
    }

    /// Returns the value of the field `name` if it occurs exactly once, otherwise `None`.
    pub(crate) fn only(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// Returns all values of the field `name`, joined into one list as RFC 9110 section 5.3 allows;
    /// `None` if the field is absent.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let all: Vec<&str> = self.all(name).collect();
        (!all.is_empty()).then(|| all.join(","))
    }

    /// Returns whether the list field `name` contains `token`.
    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        if wrong(Mutation::ConnectionWhole) {
            return self
                .only(name)
                .is_some_and(|value| value.eq_ignore_ascii_case(token));
        }
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|element| element.trim().eq_ignore_ascii_case(token))
    }
}

/// Returns whether `bytes` is a token: a valid method or field name.
pub(crate) fn token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Reads field lines up to the empty line: at most `most` fields and `room` bytes. Returns the
/// fields and their size in bytes.
pub(crate) fn read(
    wire: &mut Wire<'_>,
    room: usize,
    most: usize,
    deadline: Deadline,
) -> Result<(Fields, usize), End> {
    let mut fields = Fields::default();
    let mut used = 0;
    loop {
        let room = if wrong(Mutation::UnboundedHead) {
            usize::MAX
        } else {
            (room - used).saturating_sub(usize::from(wrong(Mutation::HeadOffByOne)))
        };
        let line = wire.line(room, deadline).or_else(|why| match why {
            LineError::TooLong => refuse(431, "the fields are too large"),
            LineError::End(ending) => Err(ending),
        })?;
        used += line.len() + 2;
        if line.is_empty() {
            return Ok((fields, used));
        }
        if wrong(Mutation::FoldedLine) && matches!(line[0], b' ' | b'\t') {
            if let Some((_, value)) = fields.0.last_mut() {
                value.push_str(&String::from_utf8_lossy(&line));
            }
            continue;
        }
        let most = most - usize::from(wrong(Mutation::FieldsOffByOne));
        if fields.0.len() == most && !wrong(Mutation::UnboundedFields) {
            return refuse(431, "there are too many fields");
        }
        fields.0.push(field(&line)?);
    }
}

fn field(line: &[u8]) -> Result<(String, String), End> {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return bad("a field line needs a colon");
    };
    let mut name = &line[..colon];
    if wrong(Mutation::SpaceBeforeColon) {
        name = name.trim_ascii_end();
    }
    if !token(name) {
        return bad(
            "a field name has a forbidden character, or a space before the colon",
        );
    }
    let value = &line[colon + 1..];
    let forbidden = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    if value.iter().any(forbidden) && !wrong(Mutation::ControlInValue) {
        return bad("a field value has a forbidden character");
    }
    Ok((
        String::from_utf8_lossy(name).into_owned(),
        String::from_utf8_lossy(value).trim_matches([' ', '\t']).to_owned(),
    ))
}
