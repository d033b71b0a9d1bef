//! The coroutines drive chapter 1's `serve`, and have no loop of their own that reads requests
//! and answers them. The futures cannot do without one: it is in `async_serve.rs`, and nowhere else.

use std::fs;
use std::io;
use std::path::Path;

/// Every source of this crate: its path, and the text without comments.
fn sources(directory: &Path, all: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, all)?;
        } else {
            if path.ends_with("async_serve.rs") {
                continue; // the `async fn`
            }
            let text = fs::read_to_string(&path)?;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            all.push((path.display().to_string(), code.collect::<Vec<_>>().join("\n")));
        }
    }
    Ok(())
}

#[test]
fn nothing_here_decides_what_a_request_is_or_what_to_answer() -> io::Result<()> {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all)?;
    assert!(all.len() > 10, "the sources are elsewhere");
    for (path, code) in &all {
        for word in ["Parsed", "Inbox::next", "inbox.next", ".respond(", "fn serve("] {
            assert!(!code.contains(word), "{path}: {word}");
        }
    }
    let callers = all.iter().filter(|(_, code)| {
        code.contains("ch01_blocking::serve;") && code.contains(" serve(&mut stream")
    });
    assert_eq!(callers.count(), 1, "one place calls chapter 1's serve");
    Ok(())
}
