//! What every server binary does before it serves: options, descriptors, a socket, signals.

use crate::listener::Listener;
use crate::options::Options;
use crate::site::Site;
use crate::stop::Stop;
use crate::trace;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// The command line of a server that has no options of its own.
#[derive(Parser, Debug)]
#[command(disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    /// The options that every server has.
    #[command(flatten)]
    pub options: Options,
}

/// Starts a server and runs it to its end. Prints where it listens on standard
/// output, or on standard error one line that says why it does not.
pub fn start(
    options: &Options,
    run: impl FnOnce(Listener, &Site, &Options, &Stop) -> io::Result<()>,
) -> ExitCode {
    match prepare(options) {
        Ok((listener, site, stop)) => match run(listener, &site, options, &stop) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the server had to end: {error}")),
        },
        Err(why) => fail(&why),
    }
}

fn prepare(options: &Options) -> Result<(Listener, Site, Stop), String> {
    if options.trace {
        trace::start();
    }
    let site = options.site().map_err(|error| match &options.root {
        Some(root) => format!("cannot open the directory {}: {error}; check --root", root.display()),
        None => format!("cannot start: {error}"),
    })?;
    let listener = Listener::bind(options.listen).map_err(|error| {
        format!(
            "cannot listen on {}: {error}; choose another address with --listen (port 0: any)",
            options.listen
        )
    })?;
    let failed = |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
    raise_descriptor_limit().map_err(failed("raise the limit of open files"))?;
    let stop = Stop::on_signals().map_err(failed("handle signals"))?;
    let address = listener.address().map_err(failed("find out the address"))?;
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .map_err(failed("print the address"))?;
    Ok((listener, site, stop))
}

/// The soft limit (often 1024) is for programs that still use select. The hard one is what the system means.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

fn fail(why: &dyn Display) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}
