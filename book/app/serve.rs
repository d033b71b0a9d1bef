//! Serves the rendered book with one of the project's own servers: chapter 6's `coroutine`, or, on
//! processors for which chapter 6 has no context switch, chapter 4's `poll`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use ch01_blocking::Options;
use ch01_blocking::program;
use ch01_blocking::{Listener, Stop};
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use ch04_select_poll::poll as best;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use ch06_coroutines::coroutine_server::{self as best, Options};
use clap::{Args, Command, FromArgMatches};

use crate::live::LabApi;
use crate::paths::Paths;

/// Whether the book's server can stream a response's body while the body is being produced:
/// `coroutine` can, and `poll` cannot.
const CAN_STREAM: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Binds the book's listener to the address `listen`.
///
/// # Errors
///
/// The address cannot be bound; the error's text says what to do about it.
pub fn bind(listen: SocketAddr) -> Result<Listener> {
    Listener::bind(listen).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "{listen} is taken, perhaps by another copy of the book: stop the program that \
             holds it, or choose another port with --listen {} (0: any)",
            SocketAddr::new(listen.ip(), listen.port().checked_add(1).unwrap_or(0))
        ),
        _ => anyhow!("cannot listen on {listen}: {error}; choose another address with --listen"),
    })
}

/// Serves the lab and the files in `root` until SIGINT or SIGTERM. `open` opens the book in a
/// web browser; `fake` is a program to run in place of the lab's experiments.
pub fn serve(
    paths: &Paths,
    listener: Listener,
    root: &Path,
    open: bool,
    fake: Option<PathBuf>,
) -> Result<()> {
    let options = options(root)?;
    let site = options
        .as_ref()
        .site()
        .with_context(|| format!("cannot open {}", root.display()))?;
    program::raise_descriptor_limit();
    let stop = Stop::on_signals().context("cannot handle signals")?;
    let address =
        listener.address().context("cannot determine the listener's address")?;
    let live = LabApi::new(paths, address, CAN_STREAM, fake)?;
    let site = Arc::new(site.with(Box::new(live.clone())));
    let mut out = io::stdout().lock();
    writeln!(out, "The book is at http://{address}/ (Ctrl-C ends it).")
        .and_then(|()| out.flush())?;
    drop(out);
    if open {
        open_in_browser(format!("http://{address}/"));
    }
    let served = best::run(listener, &site, &options, &stop);
    live.end(); // also if the server has failed
    served.context("the server has failed")
}

/// Opens the book in a web browser. If that fails, prints the reason in one line; the book is
/// served all the same.
///
/// The command that opens a browser may block until the browser ends, so it runs on its own thread.
/// The browser may connect before the server accepts connections; its connection then waits in the
/// listener's backlog.
fn open_in_browser(url: String) {
    let open = move || {
        if let Err(error) = opener::open(&url) {
            eprintln!("book: cannot open a browser: {error}; open {url} yourself");
        }
    };
    if let Err(error) = thread::Builder::new().name("browser".into()).spawn(open) {
        eprintln!("book: cannot open a browser: {error}");
    }
}

/// Returns the options of the server that serves the book from the directory `root`, parsed as if
/// from a command line.
fn options(root: &Path) -> Result<Options> {
    // The drain timeout is short, because a reader who pressed Ctrl-C is waiting. The coroutines'
    // stacks are large, because the lab's routes parse JSON and draw charts on them.
    let stack: &[&str] = if CAN_STREAM { &["--stack", "262144"] } else { &[] };
    let words = ["book", "--drain-timeout", "2"].iter().chain(stack).chain(&["--root"]);
    let words = words.map(OsString::from).chain([root.as_os_str().to_owned()]);
    let matches =
        Options::augment_args(Command::new("book")).try_get_matches_from(words)?;
    Ok(Options::from_arg_matches(&matches)?)
}
