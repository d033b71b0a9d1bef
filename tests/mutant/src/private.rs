//! Mistakes that another package defines, for a hunt: an exercise in which students search for a
//! mistake whose code they cannot read. Each mistake is a function that spoils a response just
//! before it is sent.

use std::sync::OnceLock;

use crate::answer::{Body, Response};
use crate::head::Head;

/// A mistake that another package defines.
#[derive(Debug, Clone, Copy)]
pub struct PrivateMutant {
    /// The mistake's name on the command line: `--mutation NAME`.
    pub name: &'static str,
    /// The description of the mistake, which completes the phrase "a server that …".
    pub wrong: &'static str,
    /// The function that makes the mistake: it spoils the response to a request, or leaves the
    /// response as it is.
    pub change: fn(&Request<'_>, &mut Answer),
}

/// The properties of a request that a mistake's function can read.
#[derive(Debug)]
pub struct Request<'a> {
    /// The request's method as the client sent it, such as `GET`.
    pub method: &'a str,
    /// The request's path, still percent-encoded.
    pub path: &'a str,
    /// The request's query, without the question mark; `None` if the target has no question mark.
    pub query: Option<&'a str>,
    /// The position of the request on its connection, from 1.
    pub number: usize,
}

/// The properties of a response that a mistake's function can change.
#[derive(Debug)]
pub struct Answer {
    /// The response's status code, which also determines the reason phrase.
    pub status: u16,
    /// The response's content; `None` for a file and for `/bytes/N`, whose content does not lie in
    /// memory.
    pub content: Option<Vec<u8>>,
    /// Whether the connection is closed after the response.
    pub close: bool,
}

static PRIVATE: OnceLock<&[PrivateMutant]> = OnceLock::new();
static CHOSEN: OnceLock<PrivateMutant> = OnceLock::new();

/// Sets the private mistakes, one of which the command line may name.
pub(crate) fn set(private: &'static [PrivateMutant]) {
    let _ = PRIVATE.set(private);
}

/// Chooses the private mistake called `name`. Returns whether there is one.
pub(crate) fn choose(name: &str) -> bool {
    let all = PRIVATE.get().copied().unwrap_or_default();
    let found = all.iter().find(|mutant| mutant.name == name);
    found.is_some_and(|mutant| CHOSEN.set(*mutant).is_ok())
}

/// Makes the chosen mistake, if there is one, in the response to a request.
pub(crate) fn spoil(head: &Head, number: usize, response: &mut Response) {
    let Some(mutant) = CHOSEN.get() else { return };
    let (method, path) = (head.method.as_str(), head.path.as_str());
    let request = Request { method, path, query: head.query.as_deref(), number };
    let content = match &mut response.body {
        Body::Bytes(bytes) => Some(std::mem::take(bytes)),
        _ => None,
    };
    let mut answer = Answer { status: response.status, content, close: response.close };
    (mutant.change)(&request, &mut answer);
    (response.status, response.close) = (answer.status, answer.close);
    if let Some(content) = answer.content {
        response.body = Body::Bytes(content);
    }
}
