//! Tests that the coroutine server uses chapter 1's `serve` and has no loop of its own that reads
//! and answers requests. Only the `async fn` in `async_serve.rs` and the small servers have such a
//! loop, so these files are not searched.

use std::fs;
use std::io;
use std::path::Path;

/// Collects the sources below `directory`, except those of the small servers: for each its path,
/// and its text without comments.
fn sources(directory: &Path, all: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("small") {
                sources(&path, all)?;
            }
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
fn only_async_serve_parses_and_answers() -> io::Result<()> {
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
