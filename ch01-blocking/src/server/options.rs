//! The options that every server takes.

use crate::app::site::Site;
use crate::deadlines::Timeouts;
use crate::http::Limits;
use crate::server::parse;
use clap::Args;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The command-line options that every server takes. Times are in seconds, sizes in bytes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 lets the kernel choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Directory whose files are served
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Print a line on standard error for each thing that happens to a connection
    #[arg(long)]
    pub trace: bool,
    /// Maximum number of connections served at once; further ones are answered with 503
    #[arg(long, value_name = "N", value_parser = parse::size::<usize>, default_value = "10000")]
    pub max_connections: usize,
    #[command(flatten)]
    timeouts: Timeouts,
    #[command(flatten)]
    limits: Limits,
}

impl AsRef<Options> for Options {
    fn as_ref(&self) -> &Options {
        self
    }
}

impl Options {
    /// Returns the longest duration of each kind of [`Wait`](crate::deadlines::Wait).
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts.clone()
    }

    /// Returns the application that these options describe.
    ///
    /// # Errors
    ///
    /// Those of [`Site::new`].
    pub fn site(&self) -> io::Result<Site> {
        Site::new(self.root.as_deref(), self.limits.clone())
    }
}
