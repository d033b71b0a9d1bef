//! Admits requests from pages that this server has served, and refuses all others.
//!
//! An experiment takes the whole machine for a while, so a page of another site must not be able to
//! start one, although the reader's browser would send that page's request to this server.
//! Therefore:
//!
//! - the server must listen on loopback, or the lab is closed;
//! - `Host` must be the address at which the server listens, or localhost: a foreign name that
//!   resolves to this machine (DNS rebinding) is refused, because the browser would treat its
//!   pages as being of the same origin;
//! - `Origin`, which no script can forge, must be this server's origin (only a request that changes
//!   nothing may lack it);
//! - `Sec-Fetch-Site`, which no script can forge either, must be `same-origin` if it is present (or
//!   `none`, for a URL typed by hand, if the request changes nothing);
//! - a request that changes something must be JSON and carry a token that only a page of this
//!   origin can read: the answers have no CORS fields, so a browser shows them to no other page.
//!
//! These conditions protect against pages, not against other users: a user with an account on the
//! same machine can connect to loopback, read the token as a page would, and start or stop one of
//! the lab's experiments, or replace the reader's prediction. A request can run no other program.
//! Keeping other users out would require a secret in the book's address, which every link and
//! bookmark would have to contain; the book mentions this limit and has no such secret.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use ch01_blocking::http::{Method, Request};

/// The largest body of a request, in bytes: more than any prediction needs.
const MAX_BYTES: usize = 16 * 1024;

/// The conditions on which a request is admitted.
#[derive(Debug)]
pub(super) struct RequestGuard {
    /// The values of `Host` that name this server, such as `127.0.0.1:3000`.
    names: Vec<String>,
    /// The token that a request must carry to change something. The token is random, and new at
    /// every start of the server.
    pub(super) token: String,
}

impl RequestGuard {
    /// Returns the guard of a server that listens at `address`, with a new token.
    pub(super) fn new(address: SocketAddr) -> Result<RequestGuard> {
        let mut names =
            vec![address.to_string(), format!("localhost:{}", address.port())];
        if address.port() == 80 {
            // A browser omits port 80, the default, from `Host`.
            names.extend([format!("{}", address.ip()), "localhost".to_owned()]);
        }
        Ok(RequestGuard { names, token: token()? })
    }

    /// Admits or refuses a request.
    ///
    /// # Errors
    ///
    /// If the request is refused, the error holds the status of the response, and the reason in one
    /// line.
    pub(super) fn check(&self, request: &Request<'_>) -> Result<(), (u16, &'static str)> {
        let field =
            |name| request.field(name).map(|value| String::from_utf8_lossy(value));
        let is_ours = |name: &str| self.names.iter().any(|own| own == name);
        if !field("Host").is_some_and(|host| is_ours(&host)) {
            return Err((403, "this server has another name"));
        }
        let origin = field("Origin");
        let is_own_origin = origin
            .as_deref()
            .map(|text| text.strip_prefix("http://").is_some_and(is_ours));
        let changes = request.method == Method::Post;
        if !is_own_origin.unwrap_or(!changes) {
            return Err((403, "only the pages of this book may ask for that"));
        }
        match field("Sec-Fetch-Site").as_deref() {
            None | Some("same-origin") => {}
            Some("none") if !changes => {} // the URL was typed by hand
            Some(_) => return Err((403, "only the pages of this book may ask for that")),
        }
        if !changes {
            return Ok(());
        }
        if field("Content-Type").as_deref() != Some("application/json") {
            return Err((403, "only JSON is taken here"));
        }
        if field("X-Lab-Token").as_deref() != Some(self.token.as_str()) {
            return Err((403, "the token is missing or old: load the page again"));
        }
        if request.body.len() > MAX_BYTES {
            return Err((413, "the request is too large"));
        }
        Ok(())
    }
}

/// Returns a new token of 128 random bits, in hexadecimal.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read random bytes from /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
