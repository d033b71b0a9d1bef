//! What every server binary does before it serves: options, descriptors, a socket,
//! signals.

use crate::app::site::Site;
use crate::server::listener::Listener;
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::trace;
use clap::{Args, Parser};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

/// The command line of a server.
#[derive(Parser, Debug)]
#[command(
    about = "An HTTP server of the book. What it promises is on the page \"The contract\".",
    disable_version_flag = true,
    args_override_self = true, // of an option given twice, the last counts
    max_term_width = 100
)]
pub struct Cli<O: Args = Options> {
    /// The options that every server has, or those and its own.
    #[command(flatten)]
    pub options: O,
}

/// Starts a server and runs it to its end. Prints where it listens on standard
/// output, or on standard error one line that says why it does not.
pub fn start<O: AsRef<Options>>(
    options: &O,
    run: impl FnOnce(Listener, &Site, &O, &Stop) -> io::Result<()>,
) -> ExitCode {
    // One line, and no backtrace: a panic costs one connection, and who reads our
    // standard error is not to pay more.
    panic::set_hook(Box::new(|panic| {
        let _ = writeln!(io::stderr(), "{}", panic.to_string().replace('\n', " "));
    }));
    match prepare(options.as_ref()) {
        Ok((listener, site, stop)) => match run(listener, &site, options, &stop) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the server had to end: {error}")),
        },
        Err(why) => fail(&why),
    }
}

/// A server whose mechanism this system does not have says so, and ends.
pub fn missing(mechanism: &str, system: &str) -> ExitCode {
    fail(&format!(
        "this system has no {mechanism}: that is for {system}; try another server of the book"
    ))
}

fn prepare(options: &Options) -> Result<(Listener, Site, Stop), String> {
    if options.trace {
        trace::start();
    }
    let site = options.site().map_err(|error| match &options.root {
        Some(root) => {
            format!("cannot open the directory {}: {error}; check --root", root.display())
        }
        None => format!("cannot start: {error}"),
    })?;
    let listener = Listener::bind(options.listen).map_err(|error| {
        format!(
            "cannot listen on {}: {error}; choose another address with --listen (port 0: any)",
            options.listen
        )
    })?;
    let failed =
        |what: &'static str| move |error: io::Error| format!("cannot {what}: {error}");
    raise_descriptor_limit();
    let stop = Stop::on_signals().map_err(failed("handle signals"))?;
    let address = listener.address().map_err(failed("find out the address"))?;
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")
        .and_then(|()| out.flush())
        .map_err(failed("print the address"))?;
    Ok((listener, site, stop))
}

/// The soft limit (often 1024) is for programs that still use select. The hard one is
/// what the system means; where that is no number (macOS), 10240 is what it takes. If
/// neither is granted, the server makes do with what it has.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard.min(10_240), hard));
    }
}

/// The command line, or one line that says what is wrong with it and the end.
pub fn options<C: Parser>() -> C {
    C::try_parse().unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit(); // --help
        }
        let text = error.to_string();
        eprintln!(
            "{} (--help lists the options)",
            text.lines().next().unwrap_or_default()
        );
        std::process::exit(2);
    })
}

fn fail(why: &dyn Display) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::FAILURE
}
