//! The context of a case: its own server, its clients, and the transcript.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, End};
use crate::fixture::variant;
use crate::profile::{ServerProfile, WORKERS};
use crate::response::Response;
use crate::rlimits::Rlimits;
use crate::server::{FailedStart, Server};
use crate::target::{Target, binary};
use crate::timeout::timeout;
use crate::transcript::Transcript;
use crate::verdict::{Abort, CaseResult, Verdict, ensure};

/// The pause after the first poll of [`Ctx::poll_until`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(3);
/// The longest pause between two polls of [`Ctx::poll_until`].
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The context of a case: its server, its clients, and the transcript.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The server to judge.
    pub target: &'a Target,
    /// The server's chapter, model and capabilities, which decide how a case judges it.
    pub profile: &'a ServerProfile,
    /// The transcript of all clients' events so far.
    pub log: Transcript,
    /// The server's document root.
    pub root: PathBuf,
    /// Whether the server is judged by the standards alone, not by the book's contract.
    pub standards: bool,
    /// Whether any refusal is accepted, whatever status the contract demands. This holds under
    /// [`Strictness::Refusal`](crate::judge::Strictness::Refusal), and for a security case under
    /// [`Strictness::Standards`](crate::judge::Strictness::Standards).
    pub lenient: bool,
    /// Whether the case ends, as skipped, when the server refuses a request and closes the
    /// connection: see [`crate::judge::Strictness::Refusal`].
    pub refusal_ends_case: bool,
    /// The largest number of clients that the case connects at the same time.
    pub at_once: usize,
    server: Option<Server>,
    clients: usize,
}

impl<'a> Ctx<'a> {
    /// Returns a context whose server has not been started yet.
    pub fn new(target: &'a Target, profile: &'a ServerProfile, root: PathBuf) -> Self {
        Self {
            target,
            profile,
            log: Transcript::default(),
            root,
            standards: false,
            lenient: false,
            refusal_ends_case: false,
            at_once: 1,
            server: None,
            clients: 0,
        }
    }

    /// Starts the server with these options, whose names are given without `--`.
    ///
    /// In a case that does not call this method, the server starts with the default options when
    /// the first client connects.
    pub fn serve(&mut self, options: &[(&str, &str)]) -> Verdict {
        self.serve_with_rlimits(options, Rlimits::default())
    }

    /// Starts the server with command-line options, whose names are given without `--`, and with
    /// resource limits.
    pub fn serve_with_rlimits(
        &mut self,
        options: &[(&str, &str)],
        rlimits: Rlimits,
    ) -> Verdict {
        self.server = None;
        let at_once = self.at_once.to_string();
        let mut options = options.to_vec();
        // A server with a fixed number of workers gets at least as many workers as the case has
        // clients.
        if let Some(workers) = self.profile.workers_option()
            && self.at_once > WORKERS
        {
            options.push((workers, &at_once));
        }
        self.server = Some(Server::start(self.target, &self.root, &options, rlimits)?);
        Ok(())
    }

    /// Starts a server with resource limits under which it may not be able to serve. Returns `None`
    /// if the server prints `listening on`, and otherwise how the server exited.
    pub fn try_serve(
        &mut self,
        options: &[(&str, &str)],
        rlimits: Rlimits,
    ) -> CaseResult<Option<FailedStart>> {
        self.server = None;
        let program = binary(self.target)?;
        Ok(match Server::try_start(program, &self.root, options, rlimits)? {
            Ok(server) => {
                self.server = Some(server);
                None
            }
            Err(failed) => Some(failed),
        })
    }

    /// Returns the server, and starts the server first if it is not running yet.
    pub fn server(&mut self) -> CaseResult<&mut Server> {
        if self.server.is_none() {
            self.serve(&[])?;
        }
        self.server.as_mut().ok_or_else(|| Abort::skip("no server"))
    }

    /// Returns the server if it has been started.
    pub fn started(&mut self) -> Option<&mut Server> {
        self.server.as_mut()
    }

    /// Returns the process ID of the server.
    pub fn pid(&mut self) -> CaseResult<u32> {
        self.server()?.pid()
    }

    /// Connects a new client.
    pub fn client(&mut self) -> CaseResult<Client> {
        self.client_with(None)
    }

    /// Connects a new client with a small receive buffer.
    pub fn small_client(&mut self) -> CaseResult<Client> {
        self.client_with(Some(4096))
    }

    /// Connects a new client for a response of 5 MB or more, which fills all socket buffers even though
    /// this client's receive buffer has 32 KiB. To a client with a small one, the kernel sends segments
    /// of one KiB, and a long response takes six times the processor time.
    pub fn client_for_much(&mut self) -> CaseResult<Client> {
        self.client_with(Some(32 * 1024))
    }

    /// Connects a new client with a receive buffer of about `receive` bytes, or, for `None`, of the
    /// system's default size.
    pub fn client_with(&mut self, receive: Option<usize>) -> CaseResult<Client> {
        let address = self.server()?.address;
        let name = letter(self.clients);
        self.clients += 1;
        let mut client = Client::connect_with(address, &name, &self.log, receive)?;
        (client.lenient, client.standards) = (self.lenient, self.standards);
        client.refusal_ends_case = self.refusal_ends_case;
        Ok(client)
    }

    /// Sends bytes on a new connection and reads one response. If the suite runs with a seed, which
    /// varies its requests, the bytes are cut in two: the server reads the first part before the
    /// client sends the second.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> CaseResult<Response> {
        let mut client = self.client()?;
        let bytes = bytes.as_ref();
        let (first, second) = bytes.split_at(variant().cut(bytes.len(), bytes.len()));
        client.send(first)?;
        if !second.is_empty() {
            client.wait_until_read();
            client.send(second)?;
        }
        client.response()
    }

    /// Sends a GET with `Connection: close` on a new connection and reads the response.
    pub fn get(&mut self, target: &str) -> CaseResult<Response> {
        self.ask(get_and_close(target))
    }

    /// Returns the statuses to accept: `contract`, or `standards` if the server is judged by the
    /// standards alone.
    pub fn either(
        &self,
        contract: &'static [u16],
        standards: &'static [u16],
    ) -> &'static [u16] {
        if self.standards { standards } else { contract }
    }

    /// Asserts that the server refuses these bytes with this status and closes without a reset,
    /// although the client keeps its own side open.
    pub fn assert_refused(&mut self, bytes: impl AsRef<[u8]>, status: u16) -> Verdict {
        self.assert_refused_with(bytes, &[status])
    }

    /// Asserts what [`assert_refused`](Self::assert_refused) asserts, but accepts any of several
    /// statuses.
    pub fn assert_refused_with(
        &mut self,
        bytes: impl AsRef<[u8]>,
        statuses: &[u16],
    ) -> Verdict {
        let mut client = self.client()?;
        client.send(bytes)?;
        if !self.standards {
            return Self::assert_refusal(&mut client, statuses);
        }
        if client.closed_without_response() {
            return Ok(());
        }
        // If a refusal leaves no doubt where the next request begins, the standards let the
        // server choose whether to close.
        let answer = Self::read_refusal(&mut client, statuses)?;
        if !(self.lenient && answer.status >= 400) {
            answer.one_of(statuses)?;
        }
        Ok(())
    }

    /// Reads a response. If none arrives, the failure names the expected statuses.
    fn read_refusal(client: &mut Client, statuses: &[u16]) -> CaseResult<Response> {
        let wanted = if client.lenient {
            "a refusal, status 400 or above".to_owned()
        } else {
            format!("a refusal, {}", crate::response::status_list(statuses))
        };
        client.response().map_err(|stop| stop.expecting(wanted))
    }

    /// Asserts that a client that has already sent its request is refused with one of the statuses,
    /// and that the server then closes the connection without a reset.
    pub fn assert_refusal(client: &mut Client, statuses: &[u16]) -> Verdict {
        if client.closed_without_response() {
            return Ok(());
        }
        let answer = Self::read_refusal(client, statuses)?;
        if !(client.lenient && answer.status >= 400) {
            answer.one_of(statuses)?;
        }
        client.assert_closed()
    }

    /// Asserts that the response to a HEAD request that was already sent is a refusal with this
    /// status and no content: the server closes the connection after the head of the response.
    pub fn assert_head_refusal(client: &mut Client, status: u16) -> Verdict {
        let answer = client
            .response_to("HEAD")
            .map_err(|stop| stop.expecting(format!("a refusal, status {status}")))?;
        if !client.standards {
            answer.is(status)?;
        } else if !answer.announces_close() {
            return Ok(()); // the standards leave the status and the close to the server
        }
        client.assert_closed()
    }

    /// Asserts that the request `bytes` is answered with the status `status`, and that the
    /// connection then stays open: the next request on it is answered.
    pub fn assert_answered(
        &mut self,
        bytes: impl AsRef<[u8]>,
        status: u16,
    ) -> CaseResult<Response> {
        let mut client = self.client()?;
        client.send(bytes)?;
        let response = client.response()?;
        if client.lenient && status >= 400 && response.status >= 400 {
            return Ok(response);
        }
        response.is(status)?;
        if self.standards && (status >= 400 || response.announces_close()) {
            // Only the contract demands that the connection stays open, and the server is judged by
            // the standards alone.
            return Ok(response);
        }
        response.has_length()?;
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?.has_content("Hello, World!")?;
        Ok(response)
    }

    /// Asserts that the server refuses a malformed message with one response and then closes, and
    /// does not parse the bytes that follow the message as a request (request smuggling).
    pub fn assert_refused_without_smuggling(
        &mut self,
        bytes: impl AsRef<[u8]>,
        statuses: &[u16],
    ) -> Verdict {
        let mut all = bytes.as_ref().to_vec();
        all.extend(get("/plaintext"));
        let mut client = self.client()?;
        client.send(all)?;
        Self::assert_refusal(&mut client, statuses)
    }

    /// Asserts that the server still works: a new client gets a correct response.
    pub fn assert_healthy(&mut self) -> Verdict {
        let mut client = self.client()?;
        client.send(get_and_close("/plaintext"))?;
        client.response()?.is(200)?.has_content("Hello, World!")?;
        client.close();
        Ok(())
    }

    /// Requests `/stats`, and returns one of its counters.
    pub fn counter(&mut self, name: &str) -> CaseResult<u64> {
        let response = self.get("/stats")?;
        counter_in(&response, name)
    }

    /// Polls `/stats` until a counter has this value.
    pub fn poll_until_counter(&mut self, name: &str, value: u64) -> Verdict {
        let note = if name == "open" { " (including the client that asks)" } else { "" };
        self.poll_until(&format!("`{name}` in /stats is {value}{note}"), |ctx| {
            let now = ctx.counter(name)?;
            Ok(if now == value { Ok(()) } else { Err(format!("{name}: {now}")) })
        })
    }

    /// Polls until `holds` returns `Ok(Ok(()))`. Fails after the suite's timeout. `Ok(Err(state))`
    /// describes the state for the failure report; an outer `Err` ends the polling. The pauses grow
    /// with the time that has passed: a long wait takes few polls, and its end is noticed late by a
    /// sixteenth of its time at most.
    pub fn poll_until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> CaseResult<Result<(), String>>,
    ) -> Verdict {
        let start = Instant::now();
        loop {
            let Err(state) = holds(self)? else { return Ok(()) };
            let elapsed = start.elapsed();
            if elapsed > timeout() {
                let seconds = timeout().as_secs();
                return Err(Abort::fail(
                    what,
                    format!("after {seconds} s, still: {state}"),
                ));
            }
            thread::sleep((elapsed / 16).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        }
    }

    /// Ends the case: asserts that the server still runs and, unless `may_log`, has not written to
    /// standard error.
    pub fn finish(&mut self, may_log: bool) -> Verdict {
        let ours = matches!(self.target, Target::Binary(_));
        let Some(server) = &mut self.server else { return Ok(()) };
        if let Some(status) = server.exited() {
            let how = Server::describe_exit(status);
            return Err(Abort::fail(
                "a server that still runs after its clients have left",
                how,
            ));
        }
        let mut stderr = server.stderr();
        if !stderr.is_empty() {
            // The server may still be writing to standard error; give it 50 ms, so that the failure
            // shows the whole message.
            thread::sleep(Duration::from_millis(50));
            stderr = server.stderr();
        }
        if ours && !may_log {
            ensure(
                stderr.is_empty(),
                "nothing on standard error: no client may cause the server to log an error",
                stderr,
            )?;
        }
        Ok(())
    }

    /// Drops the handle of the server, for a case that has ended the server.
    pub fn forget_server(&mut self) {
        self.server = None;
    }
}

impl Response {
    /// Asserts that the response announces the length of its content.
    pub fn has_length(&self) -> CaseResult<&Self> {
        let fine = self.length().is_some()
            || self.list_contains("Transfer-Encoding", "chunked")
            || matches!(self.status, 204 | 304);
        ensure(
            fine,
            "a response with Content-Length or Transfer-Encoding: chunked",
            "neither of them",
        )?;
        Ok(self)
    }
}

/// Returns the counter `name` from a response to `/stats`.
pub fn counter_in(response: &Response, name: &str) -> CaseResult<u64> {
    response.is(200)?;
    let json: serde_json::Value =
        serde_json::from_slice(&response.content).map_err(|error| {
            Abort::fail("one JSON object", format!("{error}: {}", response.text()))
        })?;
    let value = json.get(name).and_then(serde_json::Value::as_u64);
    value.ok_or_else(|| Abort::fail(format!("a whole number {name:?}"), response.text()))
}

/// Returns a minimal GET request. If the suite runs with a seed, which renames the fixture's files,
/// the new names replace the usual ones in `target`
/// ([`Variant::name`](crate::fixture::Variant::name)). The other functions that return a request
/// replace names as well.
pub fn get(target: &str) -> Vec<u8> {
    let target = variant().name(target);
    format!("GET {target} HTTP/1.1\r\nHost: suite\r\n\r\n").into_bytes()
}

/// Returns a GET request with `Connection: close`.
pub fn get_and_close(target: &str) -> Vec<u8> {
    let target = variant().name(target);
    format!("GET {target} HTTP/1.1\r\nHost: suite\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// Returns a request without content. Each line of `fields` must end with CR LF.
pub fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    let target = variant().name(target);
    format!("{method} {target} HTTP/1.1\r\nHost: suite\r\n{fields}\r\n").into_bytes()
}

/// Returns a POST to `/echo` with this content.
pub fn echo(content: &[u8]) -> Vec<u8> {
    let mut all =
        request("POST", "/echo", &format!("Content-Length: {}\r\n", content.len()));
    all.extend_from_slice(content);
    all
}

/// Returns a POST to `/echo` with this chunked body, as it appears on the wire.
pub fn chunked_echo(body: &str) -> Vec<u8> {
    let mut all = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
    all.extend_from_slice(body.as_bytes());
    all
}

/// Asserts that the connection was closed in good order, not reset.
pub fn ensure_closed(end: End) -> Verdict {
    ensure(end == End::Closed, "a close in good order", "a reset")
}

fn letter(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) }
}
