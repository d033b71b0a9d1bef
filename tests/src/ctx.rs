//! What a case works with: a server of its own, clients, and a transcript.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::bounds::Bounds;
use crate::client::{Client, End};
use crate::patience::patience;
use crate::response::Response;
use crate::server::Server;
use crate::stage::{Stage, WORKERS};
use crate::target::Target;
use crate::transcript::Transcript;
use crate::verdict::{Step, Stop, Verdict, demand};

/// The surroundings of one case.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// What is judged.
    pub target: &'a Target,
    /// What it is said to be.
    pub stage: &'a Stage,
    /// What happened so far.
    pub log: Transcript,
    /// The document root.
    pub root: PathBuf,
    /// The server is judged by the standards alone: what they leave open is no fault.
    pub standards: bool,
    /// The server is judged by the standards alone, and the case is about harm:
    /// then any refusal will do, whatever status the contract wants.
    pub lenient: bool,
    /// The most clients that the case has at once, where these are many.
    pub at_once: usize,
    server: Option<Server>,
    clients: usize,
}

impl<'a> Ctx<'a> {
    /// Surroundings without a server yet.
    pub fn new(target: &'a Target, stage: &'a Stage, root: PathBuf) -> Self {
        Self {
            target,
            stage,
            log: Transcript::default(),
            root,
            standards: false,
            lenient: false,
            at_once: 1,
            server: None,
            clients: 0,
        }
    }

    /// Starts the server with options; without this it starts with the defaults
    /// when the first client connects.
    pub fn serve(&mut self, options: &[(&str, &str)]) -> Verdict {
        self.serve_within(options, Bounds::default())
    }

    /// The same, within bounds that the system sets.
    pub fn serve_within(&mut self, options: &[(&str, &str)], bounds: Bounds) -> Verdict {
        self.server = None;
        let at_once = self.at_once.to_string();
        let mut options = options.to_vec();
        // Where workers are made once, as many as there are clients have to be asked for.
        if let Some(workers) = self.stage.workers()
            && self.at_once > WORKERS
        {
            options.push((workers, &at_once));
        }
        self.server = Some(Server::start(self.target, &self.root, &options, bounds)?);
        Ok(())
    }

    /// The server, started if need be.
    pub fn server(&mut self) -> Step<&mut Server> {
        if self.server.is_none() {
            self.serve(&[])?;
        }
        self.server.as_mut().ok_or_else(|| Stop::skip("no server"))
    }

    /// The server, if one was started.
    pub fn started(&mut self) -> Option<&mut Server> {
        self.server.as_mut()
    }

    /// The server's process.
    pub fn pid(&mut self) -> Step<u32> {
        self.server()?.pid()
    }

    /// A new client.
    pub fn client(&mut self) -> Step<Client> {
        self.client_with(None)
    }

    /// A new client whose receive buffer is small.
    pub fn small_client(&mut self) -> Step<Client> {
        self.client_with(Some(4096))
    }

    /// A new client with a receive buffer of about this size.
    pub fn client_with(&mut self, receive: Option<usize>) -> Step<Client> {
        let address = self.server()?.address;
        let name = letter(self.clients);
        self.clients += 1;
        let mut client = Client::connect_with(address, &name, &self.log, receive)?;
        (client.lenient, client.standards) = (self.lenient, self.standards);
        Ok(client)
    }

    /// Sends bytes on a new connection and reads one answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Step<Response> {
        let mut client = self.client()?;
        client.send(bytes)?;
        client.response()
    }

    /// GET on a new connection that ends with it.
    pub fn get(&mut self, target: &str) -> Step<Response> {
        self.ask(get_and_close(target))
    }

    /// The statuses that will do: the contract's, or whatever the standards leave open.
    pub fn either(
        &self,
        contract: &'static [u16],
        standards: &'static [u16],
    ) -> &'static [u16] {
        if self.standards { standards } else { contract }
    }

    /// Demands a refusal that closes: this status, then the end in good order,
    /// even though the client itself keeps its side open.
    pub fn refuses(&mut self, bytes: impl AsRef<[u8]>, status: u16) -> Verdict {
        self.refuses_with(bytes, &[status])
    }

    /// The same with one of several statuses.
    pub fn refuses_with(&mut self, bytes: impl AsRef<[u8]>, statuses: &[u16]) -> Verdict {
        let mut client = self.client()?;
        client.send(bytes)?;
        if !self.standards {
            return Self::is_refused(&mut client, statuses);
        }
        if client.is_cut_off() {
            return Ok(());
        }
        // Whether a refusal that leaves no doubt where the next request begins
        // ends the connection is the server's choice.
        let answer = Self::refusal(&mut client, statuses)?;
        if !(self.lenient && answer.status >= 400) {
            answer.one_of(statuses)?;
        }
        Ok(())
    }

    /// Reads what should be a refusal, and says so if nothing comes.
    fn refusal(client: &mut Client, statuses: &[u16]) -> Step<Response> {
        let wanted = if client.lenient {
            "a refusal, status 400 or above".to_owned()
        } else {
            format!("a refusal, {}", crate::response::status_list(statuses))
        };
        client.response().map_err(|stop| stop.awaiting(wanted))
    }

    /// The same for a client that has sent already.
    pub fn is_refused(client: &mut Client, statuses: &[u16]) -> Verdict {
        if client.is_cut_off() {
            return Ok(());
        }
        let answer = Self::refusal(client, statuses)?;
        if !(client.lenient && answer.status >= 400) {
            answer.one_of(statuses)?;
        }
        client.ends()
    }

    /// Demands an answer with this status on a connection that goes on: the
    /// next request on it is answered.
    pub fn answers(&mut self, bytes: impl AsRef<[u8]>, status: u16) -> Step<Response> {
        let mut client = self.client()?;
        client.send(bytes)?;
        let response = client.response()?;
        if client.lenient && status >= 400 && response.status >= 400 {
            return Ok(response);
        }
        response.is(status)?;
        if self.standards && (status >= 400 || response.tells_end()) {
            // Going on is the contract's promise.
            return Ok(response);
        }
        response.one_length()?;
        client.send(get("/plaintext"))?;
        client.response()?.is(200)?.holds("Hello, World!")?;
        Ok(response)
    }

    /// Demands that no byte sequence of this kind makes the server take what
    /// follows a refused message for a request: one answer, then the end.
    pub fn refuses_without_smuggling(
        &mut self,
        bytes: impl AsRef<[u8]>,
        statuses: &[u16],
    ) -> Verdict {
        let mut all = bytes.as_ref().to_vec();
        all.extend(get("/plaintext"));
        let mut client = self.client()?;
        client.send(all)?;
        Self::is_refused(&mut client, statuses)
    }

    /// Demands that the server is well: a new client is answered.
    pub fn is_well(&mut self) -> Verdict {
        let mut client = self.client()?;
        client.send(get_and_close("/plaintext"))?;
        client.response()?.is(200)?.holds("Hello, World!")?;
        client.close();
        Ok(())
    }

    /// A counter of `/stats`.
    pub fn stat(&mut self, name: &str) -> Step<u64> {
        let response = self.get("/stats")?;
        stat_in(&response, name)
    }

    /// Polls until the condition holds, for as long as the suite's patience lasts.
    pub fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> Step<Result<(), String>>,
    ) -> Verdict {
        let start = Instant::now();
        loop {
            let Err(state) = holds(self)? else { return Ok(()) };
            if start.elapsed() > patience() {
                let seconds = patience().as_secs();
                return Err(Stop::fail(what, format!("for {seconds} s, still: {state}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the case: the server must still be there, and must not have complained.
    pub fn finish(&mut self, may_complain: bool) -> Verdict {
        let ours = matches!(self.target, Target::Binary(_));
        let Some(server) = &mut self.server else { return Ok(()) };
        if let Some(status) = server.exited() {
            let how = Server::describe(status);
            return Err(Stop::fail(
                "a server that still runs when its clients are gone",
                how,
            ));
        }
        let mut said = server.stderr();
        if !said.is_empty() {
            // The rest of it may be on its way.
            thread::sleep(Duration::from_millis(50));
            said = server.stderr();
        }
        if ours && !may_complain {
            demand(
                said.is_empty(),
                "nothing on standard error: no client can make the server complain",
                said,
            )?;
        }
        Ok(())
    }

    /// Gives up the server after the case itself has ended it.
    pub fn done_with_server(&mut self) {
        self.server = None;
    }
}

impl Response {
    /// Demands that the answer's length is announced.
    pub fn one_length(&self) -> Step<&Self> {
        let fine = self.length().is_some()
            || self.lists("Transfer-Encoding", "chunked")
            || matches!(self.status, 204 | 304);
        demand(
            fine,
            "an answer that says how long it is",
            "neither Content-Length nor chunked",
        )?;
        Ok(self)
    }
}

/// A counter in an answer of `/stats`.
pub fn stat_in(response: &Response, name: &str) -> Step<u64> {
    response.is(200)?;
    let json: serde_json::Value =
        serde_json::from_slice(&response.content).map_err(|error| {
            Stop::fail("one JSON object", format!("{error}: {}", response.text()))
        })?;
    let value = json.get(name).and_then(serde_json::Value::as_u64);
    value.ok_or_else(|| Stop::fail(format!("a whole number {name:?}"), response.text()))
}

/// A minimal GET.
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: suite\r\n\r\n").into_bytes()
}

/// A GET that is the last on its connection.
pub fn get_and_close(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: suite\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// A request with fields (each ended by CR LF) and nothing else.
pub fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: suite\r\n{fields}\r\n").into_bytes()
}

/// A POST to `/echo`.
pub fn echo(content: &[u8]) -> Vec<u8> {
    let mut all =
        request("POST", "/echo", &format!("Content-Length: {}\r\n", content.len()));
    all.extend_from_slice(content);
    all
}

/// A POST to `/echo` whose chunked body is given raw.
pub fn chunked_echo(body: &str) -> Vec<u8> {
    let mut all = request("POST", "/echo", "Transfer-Encoding: chunked\r\n");
    all.extend_from_slice(body.as_bytes());
    all
}

/// Demands a close in good order.
pub fn good_order(end: End) -> Verdict {
    demand(end == End::Closed, "a close in good order", "a reset")
}

fn letter(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.to_string() } else { format!("{letter}{}", number / 26) }
}
