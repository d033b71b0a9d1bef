//! What every server binary does before it serves: options, descriptors, a socket,
//! signals.

use crate::app::site::Site;
use crate::server::listener::Listener;
use crate::server::log;
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::trace;
use clap::{Args, Parser};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fmt::Display;
use std::io;
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

/// Starts a server and runs it to its end. `run` says when it is [ready](Listener::ready):
/// then the address is printed on standard output. If that is never, one line on standard
/// error says why.
pub fn start<O: AsRef<Options>>(
    options: &O,
    run: impl FnOnce(Listener, &Site, &O, &Stop) -> io::Result<()>,
) -> ExitCode {
    // One line, and no backtrace: a panic costs one connection, and who reads our
    // standard error is not to pay more.
    panic::set_hook(Box::new(|panic| {
        log::line(&panic.to_string().replace('\n', " "));
    }));
    match prepare(options.as_ref()) {
        Ok((listener, site, stop)) => match run(listener, &site, options, &stop) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                fail(&format!("the server cannot serve: {error}{}", advice(&error)))
            }
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
    raise_descriptor_limit();
    let failed = |what: String, or: &'static str| {
        move |error: io::Error| match advice(&error) {
            "" => format!("cannot {what}: {error}{or}"),
            advice => format!("cannot {what}: {error}{advice}"),
        }
    };
    let site = options.site().map_err(match &options.root {
        Some(root) => {
            failed(format!("open the directory {}", root.display()), "; check --root")
        }
        None => failed("start".into(), ""),
    })?;
    let listener = Listener::bind(options.listen).map_err(failed(
        format!("listen on {}", options.listen),
        "; choose another address with --listen (port 0: any)",
    ))?;
    let stop = Stop::on_signals().map_err(failed("handle signals".into(), ""))?;
    Ok((listener.announced(), site, stop))
}

/// What can be done about an error, where the system has refused something for want of it.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; allow it more descriptors (ulimit -n)",
        Some(libc::ENFILE) => {
            "; the whole system is out of descriptors: end other programs"
        }
        Some(libc::ENOMEM) => "; allow it more memory (ulimit -v)",
        Some(libc::EAGAIN) => "; allow it more processes and threads (ulimit -u)",
        _ => "",
    }
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
        let why = text.lines().next().unwrap_or_default();
        log::line(&format!("{why} (--help lists the options)"));
        std::process::exit(2);
    })
}

fn fail(why: &dyn Display) -> ExitCode {
    log::line(&format!("error: {why}"));
    ExitCode::FAILURE
}
