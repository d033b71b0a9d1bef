//! The start of every server binary: options, the descriptor limit, the listening socket,
//! signals.

use crate::app::site::Site;
use crate::server::listener::Listener;
use crate::server::log;
use crate::server::options::Options;
use crate::server::stop::Stop;
use crate::server::sys;
use crate::server::trace;
use clap::{Args, Parser};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::borrow::Borrow;
use std::fmt::Display;
use std::io;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;

/// The command line of a server.
#[derive(Parser, Debug)]
#[command(
    about = "An HTTP server of the book. What it promises is on the page \"The contract\".",
    disable_version_flag = true,
    args_override_self = true, // if an option is given twice, the last one counts
    max_term_width = 100
)]
pub struct Cli<O: Args = Options> {
    /// The options of this server: [`Options`], or a type that contains them.
    #[command(flatten)]
    pub options: O,
}

/// Starts a server, runs it to its end, and returns the program's exit status.
///
/// When `run` declares the listener [ready](Listener::ready), the address is printed on
/// standard output. If `run` fails, one line on standard error says why.
///
/// `run` takes the site as `&Site`, or as `&Arc<Site>` if `run` needs to share the
/// site.
pub fn start<O: AsRef<Options>, S>(
    options: &O,
    run: impl FnOnce(Listener, &S, &O, &Stop) -> io::Result<()>,
) -> ExitCode
where
    Arc<Site>: Borrow<S>,
{
    // The default hook writes several lines, and blocks while standard error is a full
    // pipe. This hook writes one line for each panic, and never blocks.
    panic::set_hook(Box::new(|panic| {
        log::line(&panic.to_string().replace('\n', " "));
    }));
    match prepare(options.as_ref()) {
        Ok((listener, site, stop)) => {
            match run(listener, Arc::new(site).borrow(), options, &stop) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    fail(&format!("the server cannot serve: {error}{}", advice(&error)))
                }
            }
        }
        Err(why) => fail(&why),
    }
}

/// Reports on standard error that this system lacks `mechanism`, which only `system`
/// has, and returns the exit status of a failure.
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

/// Returns advice about an error that means that a resource is exhausted, and an empty
/// string for any other error.
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

/// Raises the soft limit on descriptors to the hard limit.
///
/// The soft limit (often 1024) protects programs that still use select(2). On macOS the
/// hard limit may be unlimited, and a soft limit above 10240 is refused; so 10240 is
/// tried next. If the system refuses that too, the soft limit stays as it is.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
            .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard.min(10_240), hard));
    }
}

/// Returns the parsed command line. If the command line is wrong, prints one line that
/// says why, and exits with status 2. If there is too little memory to start, prints
/// one line that says so, and exits with status 1.
pub fn options<C: Parser>() -> C {
    if let Err(error) = sys::claim_memory(0) {
        log::line(&format!("error: cannot start: {error}{}", advice(&error)));
        std::process::exit(1);
    }
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
