//! Bytes and events for human eyes, and the shell line that repeats them.

use std::fmt::Write as _;

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
    // The last client that sent something is the one that met the failure.
    let who = &all.iter().rev().find(|e| matches!(e.what, What::Sent(..)))?.who;
    let mut parts: Vec<String> = Vec::new();
    let mut half_closed = false;
    for event in all.iter().filter(|event| &event.who == who) {
        match &event.what {
            What::Sent(kept, n) => shell_bytes(kept, *n, &mut parts),
            What::Paused(ms) if !half_closed => {
                parts.push(format!("sleep {}", seconds(*ms)))
            }
            What::HalfClosed => half_closed = true,
            _ => {}
        }
    }
    if parts.len() > 24 {
        let left_out = parts.len() - 12;
        parts.truncate(12);
        parts.push(format!(": and so on, {left_out} more steps"));
    }
    if !half_closed {
        // Keeps the sending side open, as the suite's client did.
        parts.push("sleep 5".to_owned());
    }
    let flags = if half_closed { "-N " } else { "" };
    let script = parts.join("; ");
    Some(format!("{{ {script}; }} | nc {flags}{host} {port}"))
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
    let mut spent = 0;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&byte| byte == first).count();
        if run > 48 {
            flush(&mut text, parts);
            let octal = format!("\\{first:03o}");
            parts.push(format!("head -c {run} /dev/zero | tr '\\000' '{octal}'"));
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
    let left = all - (kept.len() - rest.len());
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
