//! `--trace`: a line on standard error for each thing that happens to a connection.
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
static COLORS: AtomicBool = AtomicBool::new(false);
static START: OnceLock<Instant> = OnceLock::new();

thread_local! {
    /// The number of the connection that this thread is handling; 0 for none.
    static CONNECTION: Cell<u64> = const { Cell::new(0) };
}

/// Switches the trace on.
pub fn start() {
    START.get_or_init(Instant::now);
    let colors =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    COLORS.store(colors, Relaxed);
    ON.store(true, Relaxed);
}

/// Returns whether the trace is on.
#[inline]
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// Sets the connection that this thread's next trace lines are about; 0 for none.
pub fn set_connection(number: u64) {
    CONNECTION.set(number);
}

/// Writes one line to the [`log`]. [`trace!`] calls this function if the trace is on.
pub fn line(verb: &str, what: Arguments<'_>) {
    let number = CONNECTION.get();
    let time = START.get().map_or(0.0, |start| start.elapsed().as_secs_f64());
    let mut line = String::with_capacity(80);
    // All lines of one connection have the same color, so that they stand out.
    let color = (COLORS.load(Relaxed) && number > 0).then_some(31 + number % 6);
    if let Some(color) = color {
        let _ = write!(line, "\x1b[{color}m"); // writing to a String cannot fail
    }
    let subject = if number > 0 { format!("#{number}") } else { "server".into() };
    let _ = write!(line, "{time:>8.3}  {subject:<6}  {verb:<8} {what}");
    if color.is_some() {
        line.push_str("\x1b[0m");
    }
    log::line(&line);
}

/// Writes a trace line if the trace is on, as in `trace!("read", "{n} bytes")`. While
/// the trace is off, the macro costs one load and one branch.
#[macro_export]
macro_rules! trace {
    ($verb:expr, $($what:tt)+) => {
        if $crate::server::trace::is_on() {
            $crate::server::trace::line($verb, format_args!($($what)+));
        }
    };
}
pub use trace;
