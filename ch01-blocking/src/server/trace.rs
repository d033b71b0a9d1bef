//! `--trace`: the server thinks aloud, a line for each thing that happens to a
//! connection.
//!
//! ```text
//!    0.000  #1  accept   127.0.0.1:50412
//!    0.000  #1  wait     for a request, 60.0 s at most
//!    0.001  #1  read     83 bytes
//! ```

use crate::server::log;
use std::cell::Cell;
use std::fmt::{Arguments, Write as _};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

static ON: AtomicBool = AtomicBool::new(false);
static COLOURS: AtomicBool = AtomicBool::new(false);
static START: OnceLock<Instant> = OnceLock::new();

thread_local! {
    /// The connection that this thread is busy with; 0 for none.
    static CONNECTION: Cell<u64> = const { Cell::new(0) };
}

/// Starts to tell, on standard error.
pub fn start() {
    START.get_or_init(Instant::now);
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    COLOURS.store(colours, Relaxed);
    ON.store(true, Relaxed);
}

/// Whether anybody listens.
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Sets the connection that this thread's next trace lines are about; 0 for none.
pub fn set_connection(number: u64) {
    CONNECTION.set(number);
}

/// Writes one line to the [`log`](crate::server::log). Use the [`trace!`] macro.
pub fn line(verb: &str, what: Arguments<'_>) {
    let number = CONNECTION.get();
    let time = START.get().map_or(0.0, |start| start.elapsed().as_secs_f64());
    let mut line = String::with_capacity(80);
    // A connection keeps its colour, so that the eye can follow it among others.
    let colour = (COLOURS.load(Relaxed) && number > 0).then_some(31 + number % 6);
    if let Some(colour) = colour {
        let _ = write!(line, "\x1b[{colour}m"); // a String takes everything
    }
    let who = if number > 0 { format!("#{number}") } else { "server".into() };
    let _ = write!(line, "{time:>8.3}  {who:<6}  {verb:<8} {what}");
    if colour.is_some() {
        line.push_str("\x1b[0m");
    }
    log::line(&line);
}

/// `trace!("read", "{n} bytes")`: tells if anybody listens, and costs next to nothing
/// if not.
#[macro_export]
macro_rules! trace {
    ($verb:expr, $($what:tt)+) => {
        if $crate::server::trace::is_on() {
            $crate::server::trace::line($verb, format_args!($($what)+));
        }
    };
}
pub use trace;
