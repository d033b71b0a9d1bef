//! The lab in the page: the reader's predictions, and runs on the reader's own machine that
//! fill the page's charts as they proceed.
//!
//! ```text
//! page ── POST /lab/run ──────────► request_guard ──► run: a child process, `book lab NAME --events`
//!      ◄─ GET /lab/events ───────── journal ◄─── a line of JSON for each step
//!      ── POST /lab/stop, or the page is closed ──► the child is ended
//! ```
//!
//! The events are streamed by chapter 6's server, as server-sent events
//! ([`BodyStream`](ch01_blocking::http::BodyStream)).

mod journal;
mod request_guard;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use ch01_blocking::app::site::Routes;
use ch01_blocking::http::{Body, ExtraHeader, Method, Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use self::journal::Followed;
use self::request_guard::RequestGuard;
use self::run::{Run, Timeouts};
use crate::lab::{self, Experiment};
use crate::paths::Paths;

/// Limits on a run from a page. The limit `run` is longer than a quick run takes, and longer than
/// the time after which the measuring child process ends itself.
const TIMEOUTS: Timeouts =
    Timeouts { run: Duration::from_secs(180), alone: Duration::from_secs(8) };

/// The lab's routes. Clones share one state, so that the program can end a running experiment
/// after the book's web server has stopped.
#[derive(Clone, Debug)]
pub(crate) struct LabApi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    paths: Paths,
    /// The guard that checks requests or, if the lab is closed, the reason why it is closed.
    guard: Result<RequestGuard, &'static str>,
    /// The program to run in place of any experiment, for tests.
    fake: Option<PathBuf>,
    /// The latest run, in progress or ended.
    run: Mutex<Option<Arc<Run>>>,
    /// The number of the next run.
    number: AtomicU64,
}

impl LabApi {
    /// Returns the lab of a server that listens at `address`. The lab is closed if the address
    /// is not loopback, or if the server cannot stream a body.
    pub(crate) fn new(
        paths: &Paths,
        address: SocketAddr,
        can_stream: bool,
        fake: Option<PathBuf>,
    ) -> Result<LabApi> {
        let guard = match () {
            () if !address.ip().is_loopback() => Err(
                "The server of this book can be reached from other machines, which must not be able to start experiments here. Start it with --listen 127.0.0.1:3000.",
            ),
            () if !can_stream => Err(
                "On this processor the book's server has no coroutines to stream with.",
            ),
            () => Ok(RequestGuard::new(address)?),
        };
        let first = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        Ok(LabApi(Arc::new(Inner {
            paths: paths.clone(),
            guard,
            fake,
            run: Mutex::new(None),
            // The numbers of runs start at the current time, so that a browser which reconnects
            // after a restart of the server does not confuse two runs.
            number: AtomicU64::new(first << 16),
        })))
    }

    /// Stops the run in progress, if there is one, and waits until all its processes have ended.
    pub(crate) fn end(&self) {
        if let Some(run) = self.0.current() {
            run.stop("the server was stopped");
            run.join();
        }
    }
}

impl Routes for LabApi {
    fn respond(&self, request: &Request<'_>) -> Option<Response> {
        let path = std::str::from_utf8(request.path.strip_prefix(b"/lab/")?).ok()?;
        Some(self.0.respond(path, request))
    }
}

impl Inner {
    fn respond(&self, path: &str, request: &Request<'_>) -> Response {
        let guard = match &self.guard {
            Ok(guard) => guard,
            // A closed lab answers a request for its state with the reason, and refuses all other
            // requests.
            Err(why) if path == "state" => return answer(200, &json!({ "closed": why })),
            Err(why) => return refuse(403, why),
        };
        let changes = matches!(path, "run" | "stop" | "predictions");
        let allowed = if changes { "POST" } else { "GET, HEAD" };
        let fits = match request.method {
            Method::Post => changes,
            Method::Get | Method::Head => !changes,
            _ => false,
        };
        if !fits {
            let extra = ExtraHeader::Allow(allowed);
            return Response { extra, ..refuse(405, "this path needs another method") };
        }
        if let Err((status, why)) = guard.check(request) {
            return refuse(status, why);
        }
        let answered = match path {
            "state" => Ok(answer(200, &self.state(guard))),
            "events" => Ok(self.events(request)),
            "run" => self.run(request.body),
            "stop" => self.stop(request.body),
            "predictions" => self.predict(request.body),
            path => self.of_experiment(path),
        };
        answered.unwrap_or_else(|refused| refused)
    }

    fn current(&self) -> Option<Arc<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the JSON that a page needs when it is loaded: the token, the experiments, the run in
    /// progress, and the reader's predictions.
    fn state(&self, guard: &RequestGuard) -> Value {
        let experiments: Map<String, Value> = lab::EXPERIMENTS
            .iter()
            .map(|experiment| (experiment.name.to_owned(), json!(experiment)))
            .collect();
        let run = self.current().filter(|run| !run.journal.is_over());
        json!({
            "token": guard.token,
            "experiments": experiments,
            "running": run.as_ref().map(|run| run.experiment),
            "run": run.as_ref().map(|run| run.journal.run),
            // The rest of the page works even if the stored predictions cannot be read.
            "predictions": lab::predictions(&self.paths).unwrap_or_default(),
        })
    }

    /// Streams the events of the latest run, beginning with the first that the browser has not
    /// received.
    fn events(&self, request: &Request<'_>) -> Response {
        let last = request.field("Last-Event-ID").map(String::from_utf8_lossy);
        // A browser that receives the status 204 does not reconnect to the event stream.
        let Some(run) = self.current() else { return Response::new(204) };
        match run.journal.follow(last.as_deref()) {
            Followed::Source(source) => Response {
                content_type: Some("text/event-stream"),
                body: Body::Live(source),
                ..Response::new(200)
            },
            Followed::Seen => Response::new(204),
            Followed::Crowd => Response {
                extra: ExtraHeader::RetryAfter(1),
                ..refuse(503, "too many pages watch this run")
            },
        }
    }

    fn run(&self, body: &[u8]) -> Result<Response, Response> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Asked {
            experiment: String,
        }
        let Asked { experiment } = parse(body, "this request names no experiment")?;
        let Experiment { name, from_page, .. } = *find(&experiment)?;
        if !from_page {
            return Err(refuse(403, "this experiment runs only from a terminal"));
        }
        let mut current = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = current.as_ref().filter(|run| !run.journal.is_over()) {
            let why = format!("{} is running: one at a time", run.experiment);
            return Err(refuse(409, &why));
        }
        let number = self.number.fetch_add(1, Relaxed);
        let command = self.command(name);
        let run = command.and_then(|command| Run::start(name, command, number, TIMEOUTS));
        let run =
            run.map_err(|error| refuse(503, &format!("cannot start it: {error}")))?;
        *current = Some(Arc::new(run));
        Ok(answer(200, &json!({ "running": name, "run": number })))
    }

    /// Returns the command of the child process that measures: the book's own program with other
    /// arguments, or the fake program of a test.
    fn command(&self, experiment: &str) -> std::io::Result<Command> {
        let mut command = match &self.fake {
            Some(program) => Command::new(program),
            None => Command::new(std::env::current_exe()?),
        };
        if self.fake.is_none() {
            command.args(["lab", "--events"]);
        }
        command.arg(experiment);
        command.arg("--book").arg(self.paths.book());
        Ok(command)
    }

    /// Stops the run whose number is in the request. Because of the number, a page that was
    /// suspended cannot stop a later run by mistake.
    fn stop(&self, body: &[u8]) -> Result<Response, Response> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Asked {
            run: u64,
        }
        let Asked { run: number } = parse(body, "this request names no run")?;
        let run = self.current().filter(|run| run.journal.run == number);
        run.ok_or_else(|| refuse(409, "that run has ended"))?.stop("you have stopped it");
        Ok(answer(200, &json!({})))
    }

    fn predict(&self, body: &[u8]) -> Result<Response, Response> {
        #[derive(Deserialize)]
        struct Asked {
            experiment: String,
            #[serde(flatten)]
            given: lab::StoredPrediction,
        }
        let Asked { experiment, given } = parse(body, "this is not a prediction")?;
        let experiment = find(&experiment)?;
        let verdict = lab::predict(&self.paths, experiment, given)
            .and_then(|()| lab::verdict(&self.paths, experiment));
        let verdict = verdict.map_err(|why| refuse(400, &format!("{why:#}")))?;
        Ok(answer(200, &json!({ "verdict": verdict.html() })))
    }

    /// Answers a request for `results/NAME.json` with the reader's last result of the experiment
    /// NAME, and one for `blank/NAME.json` with the axes into which the reader draws a predicted
    /// curve.
    fn of_experiment(&self, path: &str) -> Result<Response, Response> {
        let of = |directory| path.strip_prefix(directory)?.strip_suffix(".json");
        let found = match (of("results/"), of("blank/")) {
            (Some(name), _) => lab::shown(&self.paths, find(name)?)
                .map(|shown| shown.map(|it| json!(it))),
            (_, Some(name)) => lab::blank(&self.paths, find(name)?)
                .map(|svg| svg.map(|svg| json!({ "svg": svg }))),
            _ => return Err(refuse(404, "the lab has no such path")),
        };
        let found = found.map_err(|why| refuse(500, &format!("{why:#}")))?;
        Ok(found.map_or_else(|| Response::new(204), |found| answer(200, &found)))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], otherwise: &str) -> Result<T, Response> {
    serde_json::from_slice(body).map_err(|_| refuse(400, otherwise))
}

fn find(name: &str) -> Result<&'static Experiment, Response> {
    lab::find(name).ok_or_else(|| refuse(404, "no experiment is called that"))
}

fn answer(status: u16, value: &Value) -> Response {
    Response {
        content_type: Some("application/json"),
        body: Body::Bytes(value.to_string().into_bytes()),
        ..Response::new(status)
    }
}

fn refuse(status: u16, why: &str) -> Response {
    answer(status, &json!({ "why": why }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ch01_blocking::http::{Inbox, Limits, Parsed};

    #[test]
    fn without_loopback_there_is_no_lab() -> Result<()> {
        let paths = Paths::find(None)?;
        let asked = |live: &LabApi, text: &str| {
            let mut inbox = Inbox::new();
            inbox.receive(text.as_bytes());
            let Parsed::Complete(request) = inbox.next(&Limits::default()) else {
                panic!("{text:?} is no request")
            };
            let Some(Response { status, body: Body::Bytes(bytes), .. }) =
                live.respond(&request)
            else {
                panic!("{text:?} has no answer")
            };
            (status, serde_json::from_slice::<Value>(&bytes).unwrap_or_default())
        };
        for (address, can_stream) in [("192.0.2.1:80", true), ("127.0.0.1:80", false)] {
            let live = LabApi::new(&paths, address.parse()?, can_stream, None)?;
            let host = format!("Host: {address}\r\n");
            let (status, state) =
                asked(&live, &format!("GET /lab/state HTTP/1.1\r\n{host}\r\n"));
            assert_eq!(status, 200);
            assert!(state["closed"].is_string() && state["token"].is_null(), "{state}");
            let run =
                format!("POST /lab/run HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n");
            assert_eq!(asked(&live, &run).0, 403);
        }
        Ok(())
    }
}
