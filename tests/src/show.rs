//! Bytes and events for human eyes, and the shell line that repeats them.

use std::fmt::Write as _;

use crate::client::{End, Seen};
use crate::transcript::{Event, What};

/// Bytes escaped as in a string literal, long runs and long middles cut.
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
                // Quotes need no escape here: the text is not put between any.
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

impl Seen {
    /// What was seen, as the reader of a failure should hear it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::End(End::Closed) => "the end: the server closed the connection",
            Self::End(End::Reset) => "a reset of the connection",
            Self::Nothing => "nothing",
        }
    }
}

/// One event on one line.
pub fn event(event: &Event) -> String {
    let who = if event.who.is_empty() { "suite" } else { &event.who };
    match &event.what {
        What::Connected => format!("{who} connects"),
        What::Sent(kept, all) => format!("{who} sends     {}", bytes(kept, *all)),
        What::Received(kept, all) => format!("{who} receives  {}", bytes(kept, *all)),
        What::HalfClosed => format!("{who} closes its sending side"),
        What::Closed => format!("{who} closes"),
        What::Reset => format!("{who} resets"),
        What::PeerClosed => format!("{who} sees the end: the server has closed"),
        What::PeerReset => {
            format!("{who} sees a reset: the server has cut the connection")
        }
        What::Cut => format!("{who} waits until the server has taken that"),
        What::Paused(ms) => format!("{who} waits {ms} ms"),
        What::Note(note) => format!("{who}: {note}"),
    }
}

/// All events, numbered; a long middle is left out.
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

/// A shell line that does what client `who` did: `printf` into `nc`.
pub fn by_hand(all: &[Event], address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let who = last_to_send(all)?;
    let mut parts: Vec<String> = Vec::new();
    // Where an exchange begins: a request whose predecessors have their answers.
    let mut begins = vec![0];
    let (mut half_closed, mut answered) = (false, false);
    let mut longest_pause = 0;
    for event in all.iter().filter(|event| event.who == who) {
        match &event.what {
            What::Sent(kept, n) => {
                if std::mem::take(&mut answered) {
                    parts.push("sleep 0.1".to_owned());
                }
                shell_bytes(kept, *n, &mut parts);
            }
            What::Cut if !half_closed => parts.push("sleep 0.1".to_owned()),
            What::Paused(ms) if !half_closed => {
                longest_pause = longest_pause.max(ms / 1000);
                parts.push(format!("sleep {}", seconds(*ms)));
            }
            What::Received(..) => {
                begins.push(parts.len());
                answered = !parts.is_empty();
            }
            What::HalfClosed => half_closed = true,
            _ => {}
        }
    }
    shorten(&mut parts, &begins);
    while parts.last().is_some_and(|part| part == "sleep 0.1") {
        parts.pop();
    }
    if !half_closed {
        // Keeps the sending side open, as the suite's client did.
        parts.push("sleep 5".to_owned());
    }
    // nc gives up when nothing happens for so many seconds.
    let idle = 5.max(longest_pause + 1);
    let flags = if half_closed { "-N " } else { "" };
    let script = parts.join("; ");
    Some(format!("{{ {script}; }} | nc -w {idle} {flags}{host} {port}"))
}

/// The last client that sent something: the one that met the failure.
pub fn last_to_send(all: &[Event]) -> Option<&str> {
    let last = all.iter().rev().find(|e| matches!(e.what, What::Sent(..)))?;
    Some(&last.who)
}

/// The last client that sent something, if it was not the only one.
pub fn last_of_several(all: &[Event]) -> Option<&str> {
    let connected =
        all.iter().filter(|event| matches!(event.what, What::Connected)).count();
    last_to_send(all).filter(|_| connected > 1)
}

/// Leaves out what came before the last exchanges, then the end of a long one.
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
        parts.insert(0, format!(": {first} steps before that are left out"));
    }
    if parts.len() > MOST + 1 {
        let left_out = parts.len() - MOST;
        parts.truncate(MOST);
        parts.push(format!(": and so on, {left_out} more steps"));
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// `printf` for text, `head | tr` for long runs of one byte.
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
                // Nobody could tell: what was not kept is more of the same.
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
        parts.push(format!(": and {left} more bytes of the same kind"));
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
