//! The options that every server takes.

use crate::app::site::Site;
use crate::deadlines::Timeouts;
use crate::http::{Budget, Limits, MAX_FIELDS};
use crate::server::sys;
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a server is told at its start. Times in seconds, sizes in bytes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Directory whose files are served
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Tell on standard error what happens to every connection
    #[arg(long)]
    pub trace: bool,
    /// Clients at once; more are answered 503
    #[arg(long, value_name = "N", value_parser = size, default_value = "10000")]
    pub max_connections: usize,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    sizes: Sizes,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Deadlines (seconds)")]
struct Times {
    /// For the first byte of a request
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "60")]
    idle_timeout: Duration,
    /// For a head, from its first byte to its last
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "10")]
    head_timeout: Duration,
    /// For a request's content, from the end of its head
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "60")]
    body_timeout: Duration,
    /// Least bytes a second of content after the first --head-timeout; 0: any
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    body_rate: u64,
    /// In this time 16 KiB of the answer, or what is left, must leave
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "30")]
    write_timeout: Duration,
    /// For reading on after the last answer
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "2")]
    linger_timeout: Duration,
    /// From SIGTERM to the end
    #[arg(long, value_name = "S", value_parser = seconds, default_value = "10")]
    drain_timeout: Duration,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sizes (bytes)")]
struct Sizes {
    /// A request line
    #[arg(long, value_name = "N", value_parser = size, default_value = "8192")]
    max_line: usize,
    /// A head; trailers likewise
    #[arg(long, value_name = "N", value_parser = size, default_value = "16384")]
    max_head: usize,
    /// Fields of a head; trailers likewise (a number, at most 128)
    #[arg(long, value_name = "N", value_parser = fields, default_value = "64")]
    max_fields: usize,
    /// A request's content
    #[arg(long, value_name = "N", value_parser = size, default_value = "1048576")]
    max_body: usize,
    /// Answers of one connection that wait to be sent
    #[arg(long, value_name = "N", value_parser = size, default_value = "65536")]
    max_output: usize,
    /// All requests in progress together, beyond 16 KiB each
    #[arg(long, value_name = "N", value_parser = size, default_value = "268435456")]
    max_buffered: usize,
}

impl AsRef<Options> for Options {
    fn as_ref(&self) -> &Options {
        self
    }
}

impl Options {
    /// How long each wait may last.
    pub fn timeouts(&self) -> Timeouts {
        let Times {
            idle_timeout,
            head_timeout,
            body_timeout,
            body_rate,
            write_timeout,
            linger_timeout,
            drain_timeout,
        } = self.times;
        Timeouts {
            idle: idle_timeout,
            head: head_timeout,
            body: body_timeout,
            body_rate,
            write: write_timeout,
            linger: linger_timeout,
            drain: drain_timeout,
        }
    }

    /// How much each message may take.
    /// An error means that there is no memory to share.
    pub fn limits(&self) -> io::Result<Limits> {
        let Sizes { max_line, max_head, max_fields, max_body, max_output, max_buffered } =
            self.sizes;
        Ok(Limits {
            line: max_line,
            head: max_head,
            fields: max_fields,
            body: max_body as u64,
            output: max_output,
            buffered: Budget::shared(max_buffered, sys::shared()?),
        })
    }

    /// The application that these options describe.
    /// An error is about `--root`, or as for
    /// [`limits`](Options::limits).
    pub fn site(&self) -> io::Result<Site> {
        Site::new(self.root.as_deref(), self.limits()?)
    }
}

/// A positive number of seconds, at most a year: beyond that the clock's arithmetic
/// could overflow.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 31_536_000.0 => {
            Ok(Duration::from_secs_f64(number).max(Duration::from_millis(1)))
        }
        _ => {
            Err("a number of seconds between 0.001 and 31536000, such as 10 or 0.5"
                .into())
        }
    }
}

/// A size beyond which arithmetic could overflow is a mistake, not a wish.
fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|size| *size <= 1 << 40)
        .ok_or("a whole number, at most 1099511627776".into())
}

fn fields(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=MAX_FIELDS).contains(number))
        .ok_or(format!("a number from 1 to {MAX_FIELDS}"))
}
