//! Formats bytes and events for a failure report, and the shell command that repeats them.

use std::fmt::Write as _;

use crate::client::{End, Peek};
use crate::transcript::{Event, EventKind};

/// Escapes bytes as in a string literal, and abbreviates long runs of one byte and a long middle.
/// `all` is the total number of bytes, of which `bytes` is the beginning.
pub fn bytes(bytes: &[u8], all: usize) -> String {
    const HEAD: usize = 600;
    const TAIL: usize = 120;
    let mut text = String::new();
    if bytes.len() <= HEAD + TAIL + 40 {
        escape(bytes, &mut text);
        if all > bytes.len() {
            let _ = write!(text, " … ({all} bytes in all)");
        }
    } else {
        escape(&bytes[..HEAD], &mut text);
        let _ = write!(text, " … ");
        if all == bytes.len() {
            escape(&bytes[bytes.len() - TAIL..], &mut text);
        }
        let _ = write!(text, " ({all} bytes in all)");
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&byte| byte == first).count();
        let shown = if run > 24 { 8 } else { run };
        for _ in 0..shown {
            for c in std::ascii::escape_default(first) {
                // `escape_default` also escapes quotes; the last line of this function removes
                // those escapes, because the text is not quoted.
                text.push(char::from(c));
            }
        }
        if run > shown {
            let _ = write!(text, "…×{run}…");
        }
        rest = &rest[run..];
    }
    *text = text.replace("\\\"", "\"").replace("\\'", "'");
}

impl Peek {
    /// Describes the observation in a few words, for the transcript and failure reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Bytes => "bytes arrived",
            Self::End(End::Closed) => "the server closed the connection",
            Self::End(End::Reset) => "the server reset the connection",
            Self::Nothing => "nothing",
        }
    }
}

/// Formats one event as a line.
pub fn event(event: &Event) -> String {
    let client = if event.client.is_empty() { "suite" } else { &event.client };
    match &event.kind {
        EventKind::Connected => format!("{client} connects"),
        EventKind::Sent(kept, all) => format!("{client} sends     {}", bytes(kept, *all)),
        EventKind::Received(kept, all) => {
            format!("{client} receives  {}", bytes(kept, *all))
        }
        EventKind::HalfClosed => format!("{client} shuts down its sending side"),
        EventKind::Closed => format!("{client} closes"),
        EventKind::Reset => format!("{client} resets the connection"),
        EventKind::PeerClosed => {
            format!("{client} reads end of file: the server has closed")
        }
        EventKind::PeerReset => {
            format!("{client} reads a reset: the server has reset the connection")
        }
        EventKind::WaitedUntilRead => {
            format!("{client} waits until the server has read it all")
        }
        EventKind::Paused(ms) => format!("{client} waits {ms} ms"),
        EventKind::Note(note) => format!("{client}: {note}"),
    }
}

/// Formats all events, numbered, without the middle of a long list.
pub fn events(events: &[Event]) -> String {
    const ENDS: usize = 14;
    let mut text = String::new();
    for (at, one) in events.iter().enumerate() {
        if events.len() > 2 * ENDS + 4 && (ENDS..events.len() - ENDS).contains(&at) {
            if at == ENDS {
                let _ = writeln!(text, "      … {} more …", events.len() - 2 * ENDS);
            }
            continue;
        }
        let _ = writeln!(text, "  {:>3}. {}", at + 1, event(one));
    }
    text
}

/// Returns a shell command (`printf` into `nc`) that repeats the actions of the client that sent
/// last, or `None` if no client has sent anything.
pub fn by_hand(all: &[Event], address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let client = last_to_send(all)?;
    let mut parts: Vec<String> = Vec::new();
    // The index in `parts` at which each exchange begins. An exchange begins with a request whose
    // predecessors have all been answered.
    let mut begins = vec![0];
    let (mut half_closed, mut answered) = (false, false);
    let mut longest_pause = 0;
    for event in all.iter().filter(|event| event.client == client) {
        match &event.kind {
            EventKind::Sent(kept, n) => {
                if std::mem::take(&mut answered) {
                    parts.push("sleep 0.1".to_owned());
                }
                shell_bytes(kept, *n, &mut parts);
            }
            EventKind::WaitedUntilRead if !half_closed => {
                parts.push("sleep 0.1".to_owned())
            }
            EventKind::Paused(ms) if !half_closed => {
                longest_pause = longest_pause.max(ms / 1000);
                parts.push(format!("sleep {}", seconds(*ms)));
            }
            EventKind::Received(..) => {
                begins.push(parts.len());
                answered = !parts.is_empty();
            }
            EventKind::HalfClosed => half_closed = true,
            _ => {}
        }
    }
    shorten(&mut parts, &begins);
    while parts.last().is_some_and(|part| part == "sleep 0.1") {
        parts.pop();
    }
    if !half_closed {
        // Keep the sending side open for 5 s, because the suite's client had not shut it down.
        parts.push("sleep 5".to_owned());
    }
    // The argument of `nc -w`: the seconds without traffic after which `nc` gives up.
    let idle = 5.max(longest_pause + 1);
    let flags = if half_closed { "-N " } else { "" };
    let script = parts.join("; ");
    Some(format!("{{ {script}; }} | nc -w {idle} {flags}{host} {port}"))
}

/// Returns the client that sent bytes last, or `None` if no client has sent any. The failed
/// expectation is assumed to be this client's.
pub fn last_to_send(all: &[Event]) -> Option<&str> {
    let last = all.iter().rev().find(|e| matches!(e.kind, EventKind::Sent(..)))?;
    Some(&last.client)
}

/// Returns the client that sent bytes last if several clients connected, otherwise `None`.
pub fn last_of_several(all: &[Event]) -> Option<&str> {
    let connected =
        all.iter().filter(|event| matches!(event.kind, EventKind::Connected)).count();
    last_to_send(all).filter(|_| connected > 1)
}

/// Shortens a long list of steps: keeps only the last exchanges, and of an exchange that is still
/// too long only the beginning.
fn shorten(parts: &mut Vec<String>, begins: &[usize]) {
    const MOST: usize = 16;
    let all = parts.len();
    if all <= MOST {
        return;
    }
    let last = begins.iter().rev().find(|begin| **begin < all).copied().unwrap_or(0);
    let first = begins
        .iter()
        .copied()
        .find(|begin| all - begin <= MOST)
        .unwrap_or(last)
        .min(last);
    if first > 0 {
        parts.drain(..first);
        parts.insert(0, format!(": {first} steps before are omitted"));
    }
    if parts.len() > MOST + 1 {
        let left_out = parts.len() - MOST;
        parts.truncate(MOST);
        parts.push(format!(": {left_out} more steps are omitted"));
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Appends shell commands that print the bytes: `printf` for text, `head | tr` for long runs.
/// `kept` is the beginning of the bytes, and `all` is their total number.
fn shell_bytes(kept: &[u8], all: usize, parts: &mut Vec<String>) {
    const LONGEST: usize = 3000;
    let mut text = String::new();
    let flush = |text: &mut String, parts: &mut Vec<String>| {
        if !text.is_empty() {
            parts.push(format!("printf '{}'", std::mem::take(text)));
        }
    };
    let mut rest = kept;
    let (mut spent, mut more) = (0, 0);
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&byte| byte == first).count();
        if run > 48 {
            flush(&mut text, parts);
            if run == rest.len() && run > 4096 {
                // The transcript has kept only the first bytes of this event. The missing bytes are
                // assumed to continue the long run of one byte at the end of the kept bytes.
                more = all - kept.len();
            }
            let zeros = format!("head -c {} /dev/zero", run + more);
            parts.push(match first {
                0 => zeros,
                _ => format!("{zeros} | tr '\\000' '\\{first:03o}'"),
            });
        } else {
            for _ in 0..run {
                printf_byte(first, &mut text);
            }
            spent += run;
        }
        rest = &rest[run..];
        if spent > LONGEST {
            break;
        }
    }
    flush(&mut text, parts);
    let left = all - (kept.len() - rest.len()) - more;
    if left > 0 {
        parts.push(format!(": {left} more bytes of the same kind are omitted"));
    }
}

fn printf_byte(byte: u8, text: &mut String) {
    match byte {
        b'\r' => text.push_str("\\r"),
        b'\n' => text.push_str("\\n"),
        b'\t' => text.push_str("\\t"),
        b'%' => text.push_str("%%"),
        b'\\' => text.push_str("\\\\"),
        b'\'' => text.push_str("\\047"),
        b' '..=b'~' => text.push(char::from(byte)),
        _ => {
            let _ = write!(text, "\\{byte:03o}");
        }
    }
}
