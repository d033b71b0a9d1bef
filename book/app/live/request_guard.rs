//! Admits requests of pages that this server has served, and of no others.
//!
//! An experiment takes the whole machine for a while, so a page of another site must not be
//! able to start one, though the reader's browser would carry its request here. So:
//!
//! - the server must listen on loopback, or there is no lab;
//! - `Host` must name it as it listens, or as localhost: a foreign name that was made to point
//!   here (DNS rebinding) is refused, and with it everything that the browser would treat as
//!   that name's own;
//! - `Origin` and `Sec-Fetch-Site`, which no script can forge, must name this server;
//! - a request that changes something must be JSON and bring a token that only a page of this
//!   origin can have read: without CORS fields, a browser lets no other read our answers.
//!
//! All this is against pages. It is not against people: a user with an account on the same
//! machine can connect to loopback, read the token as a page would, and start or stop an
//! experiment of the list, or replace the reader's prediction. Nothing else can be run. To
//! keep them out would take a secret in the address that the reader opens, which every link
//! and bookmark would then have to carry; the book says so instead.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use ch01_blocking::http::{Method, Request};

/// More than any prediction needs.
const MAX_BYTES: usize = 16 * 1024;

/// What a request must bring.
#[derive(Debug)]
pub(super) struct RequestGuard {
    /// The names by which a browser may call this server: `127.0.0.1:3000`.
    names: Vec<String>,
    /// Random, new at every start.
    pub(super) token: String,
}

impl RequestGuard {
    /// For a server that listens at this address.
    pub(super) fn new(address: SocketAddr) -> Result<RequestGuard> {
        let mut names =
            vec![address.to_string(), format!("localhost:{}", address.port())];
        if address.port() == 80 {
            // A browser leaves it out.
            names.extend([format!("{}", address.ip()), "localhost".to_owned()]);
        }
        Ok(RequestGuard { names, token: token()? })
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// Why it is refused: a status and a line.
    pub(super) fn check(&self, request: &Request<'_>) -> Result<(), (u16, &'static str)> {
        let field =
            |name| request.field(name).map(|value| String::from_utf8_lossy(value));
        let is_ours = |name: &str| self.names.iter().any(|own| own == name);
        if !field("Host").is_some_and(|host| is_ours(&host)) {
            return Err((403, "this server is not called that"));
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
            Some("none") if !changes => {} // typed by hand
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
            return Err((413, "that is too large"));
        }
        Ok(())
    }
}

/// 128 random bits.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("no random numbers are to be had")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
