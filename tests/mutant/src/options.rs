//! Command-line options: those of the contract, and `--mutation` for the mistakes to make.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::mutations::{MUTATIONS, Mutation};
use crate::private;
use crate::switch;

/// The environment variable that names the mistake during a hunt, in which students search for a
/// server's mistake. Its values are those of the option `--mutation`.
const HUNTED: &str = "HUNTED_MUTATION";

/// The action that the command line requests.
pub(crate) enum Command {
    ListMutations,
    /// List the mistakes that students may be given to search for.
    ListHunted,
    Serve(Box<Options>),
}

/// The options that the book's contract defines for every server, with the contract's defaults, and
/// this server's own.
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) root: PathBuf,
    pub(crate) idle_timeout: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) body_rate: u64,
    pub(crate) write_timeout: Duration,
    pub(crate) linger_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) max_line: usize,
    pub(crate) max_head: usize,
    pub(crate) max_fields: usize,
    pub(crate) max_body: u64,
    pub(crate) max_output: usize,
    pub(crate) max_connections: usize,
    pub(crate) max_buffered: usize,
    /// The size of a fixed pool of threads; `None` for a thread per connection.
    pub(crate) threads: Option<usize>,
    pub(crate) queue: usize,
    /// Whether to reject with 503 when the queue is full, instead of leaving clients in the
    /// backlog.
    pub(crate) refuse: bool,
    /// The number of preforked worker processes; `None` for a single process.
    pub(crate) processes: Option<usize>,
    /// Whether this process is one of the preforked worker processes.
    pub(crate) worker: bool,
    /// Whether to serve by one event loop instead of one thread per connection.
    pub(crate) events: bool,
    /// The bounds of a pool of threads that grows and shrinks; `None` for another kind of server.
    pub(crate) elastic: Option<Elastic>,
    /// The seconds for which a cache may keep a file; `None` to send no `Cache-Control`.
    pub(crate) max_age: Option<u64>,
    /// The number of threads that open and read files for the event loop; `None` if the loop itself
    /// opens and reads files.
    pub(crate) file_threads: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            root: PathBuf::from("."),
            idle_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            body_rate: 1024,
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(10),
            max_line: 8192,
            max_head: 16384,
            max_fields: 64,
            max_body: 1 << 20,
            max_output: 65536,
            max_connections: 10000,
            max_buffered: 268_435_456,
            threads: None,
            queue: 64,
            refuse: false,
            processes: None,
            worker: false,
            events: false,
            elastic: None,
            max_age: None,
            file_threads: None,
        }
    }
}

/// The bounds of a pool that grows and shrinks.
#[derive(Clone, Copy)]
pub(crate) struct Elastic {
    /// The number of workers at the start, below which the pool does not shrink.
    pub(crate) min: usize,
    /// The largest number of workers.
    pub(crate) max: usize,
    /// The idle time after which a worker exits if the pool has more than `min` workers.
    pub(crate) shrink_after: Duration,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { min: 2, max: 16, shrink_after: Duration::from_secs(5) }
    }
}

impl Options {
    /// Parses command-line arguments of the forms `--name value` and `--name=value`.
    pub(crate) fn from_args(
        mut args: impl Iterator<Item = String>,
    ) -> Result<Command, String> {
        let mut options = Self::default();
        let mut mutations = Vec::new();
        // During a hunt an environment variable names the mistake: other users could read the
        // command line, but not the environment.
        if let Ok(name) = std::env::var(HUNTED)
            && !name.is_empty()
            && !private::choose(&name)
        {
            mutations.push(mutation(&name)?);
        }
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            match name.as_str() {
                "--list-mutations" => return Ok(Command::ListMutations),
                "--list-hunted" => return Ok(Command::ListHunted),
                "--trace" => continue,
                "--worker" => {
                    options.worker = true;
                    continue;
                }
                "--events" => {
                    options.events = true;
                    continue;
                }
                _ => {}
            }
            let value = inline
                .or_else(|| args.next())
                .ok_or_else(|| format!("{name}: a value is missing"))?;
            if name == "--mutation" {
                if !private::choose(&value) {
                    mutations.push(mutation(&value)?);
                }
            } else {
                options.set(&name, &value)?;
            }
        }
        switch::choose(mutations);
        Ok(Command::Serve(Box::new(options)))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--listen" => self.listen = parsed(name, value)?,
            "--root" => self.root = PathBuf::from(value),
            "--idle-timeout" => self.idle_timeout = seconds(name, value)?,
            "--head-timeout" => self.head_timeout = seconds(name, value)?,
            "--body-timeout" => self.body_timeout = seconds(name, value)?,
            "--body-rate" => self.body_rate = parsed(name, value)?,
            "--write-timeout" => self.write_timeout = seconds(name, value)?,
            "--linger-timeout" => self.linger_timeout = seconds(name, value)?,
            "--drain-timeout" => self.drain_timeout = seconds(name, value)?,
            "--max-line" => self.max_line = parsed(name, value)?,
            "--max-head" => self.max_head = parsed(name, value)?,
            "--max-fields" => self.max_fields = parsed(name, value)?,
            "--max-body" => self.max_body = parsed(name, value)?,
            "--max-output" => self.max_output = parsed(name, value)?,
            "--max-connections" => self.max_connections = parsed(name, value)?,
            "--threads" => self.threads = Some(parsed(name, value)?),
            "--queue" => self.queue = parsed(name, value)?,
            "--when-busy" => self.refuse = value == "refuse",
            "--processes" => self.processes = Some(parsed(name, value)?),
            "--min-threads" => self.elastic().min = parsed(name, value)?,
            "--max-threads" => self.elastic().max = parsed(name, value)?,
            "--shrink-after" => self.elastic().shrink_after = seconds(name, value)?,
            "--max-age" => self.max_age = Some(parsed(name, value)?),
            "--file-threads" => self.file_threads = Some(parsed(name, value)?),
            "--max-buffered" => self.max_buffered = parsed(name, value)?,
            _ => return Err(format!("unknown option {name}")),
        }
        Ok(())
    }

    fn elastic(&mut self) -> &mut Elastic {
        self.elastic.get_or_insert_default()
    }
}

fn parsed<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: invalid value {value:?}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(parsed(name, value)?)
        .map_err(|_| format!("{name}: expected a time in seconds, not {value:?}"))
}

fn mutation(name: &str) -> Result<Mutation, String> {
    MUTATIONS
        .iter()
        .find(|mutant| mutant.name == name)
        .map(|mutant| mutant.id)
        .ok_or_else(|| {
            format!("unknown mutation {name:?}; --list-mutations lists them all")
        })
}
