//! Tests of the program `book` at a terminal: its commands, messages and exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::webdriver::served::{RENDERED, checkout, turn_to_render};
use assert_cmd::{Command, cargo_bin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

fn book() -> Command {
    crate::normalized(); // before the handler of SIGCHLD that the timeout installs
    let mut command = Command::new(cargo_bin!("book"));
    command.timeout(Duration::from_secs(300)); // rendering on a busy machine included
    command
}

/// Runs the command, which must fail with a single line on standard error, and returns this line.
fn complaint(command: &mut Command) -> String {
    let output = command.assert().failure().stdout("").get_output().stderr.clone();
    let text = String::from_utf8(output).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn it_renders_from_anywhere() {
    let dir = tempdir().expect("a directory");
    book()
        .args(["--no-serve", "--out", "pages"])
        .current_dir(dir.path())
        .assert()
        .success();
    let index = fs::read_to_string(dir.path().join("pages/index.html")).expect("a page");
    assert!(index.contains("Ten Thousand Clients"));
}

#[test]
fn it_renders_again_what_has_changed_and_only_then() {
    let dir = tempdir().expect("a directory");
    let (source, out) = (checkout(dir.path()), dir.path().join("pages"));
    let page = out.join("contract.html");
    let render = || {
        let mut command = book();
        command.arg("--no-serve").arg("--out").arg(&out).arg("--book").arg(&source);
        command.assert().success();
        fs::metadata(&page).and_then(|page| page.modified()).expect("a page")
    };
    let first = render();
    assert_eq!(render(), first, "nothing has changed");
    let text = fs::read_to_string(source.join("src/contract.md")).expect("a source");
    fs::write(source.join("src/contract.md"), text + "\nPlanted.\n").expect("a source");
    assert_ne!(render(), first, "a page has changed");
    assert!(fs::read_to_string(&page).expect("a page").contains("Planted."));
}

#[test]
fn it_refuses_to_replace_anything_but_a_rendered_book() {
    let dir = tempdir().expect("a directory");
    fs::write(dir.path().join("letter.txt"), "dear").expect("a file");
    let said = complaint(book().args(["--no-serve", "--out"]).arg(dir.path()));
    assert!(said.contains("--out"), "{said}");
    assert!(dir.path().join("letter.txt").exists());
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = holder.local_addr().expect("an address").to_string();
    let dir = tempdir().expect("a directory");
    let said = complaint(
        book().args(["--listen", &address, "--out"]).arg(dir.path().join("book")),
    );
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    assert!(!dir.path().join("book").exists(), "it rendered although it cannot serve");
}

// The commands on the book's pages send requests to port 8080, where a chapter's server listens,
// so the server of the book must use another port.
#[test]
fn the_book_and_the_servers_have_ports_of_their_own() {
    let help = book().arg("--help").assert().success().get_output().stdout.clone();
    let help = String::from_utf8(help).expect("text");
    assert!(help.contains("[default: 127.0.0.1:3000]"), "{help}");
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
    for page in ["README.md", "book/src/how-to-use.md"] {
        let text = fs::read_to_string(top.join(page)).expect("a page");
        assert!(text.contains("serves it on http://127.0.0.1:3000"), "{page}");
    }
}

// A substitute for the program `xdg-open` records the URL that the book passes to it.
#[cfg(target_os = "linux")]
#[test]
fn open_opens_the_page_that_is_served() {
    let dir = tempdir().expect("a directory");
    let (browser, opened) = (dir.path().join("xdg-open"), dir.path().join("opened"));
    let script =
        format!("#!/bin/sh\necho \"$1\" > {0}.new && mv {0}.new {0}\n", opened.display());
    client_suite::scripts::write_script(&browser, &script).expect("a script");
    let path =
        format!("{}:{}", dir.path().display(), std::env::var("PATH").expect("a path"));
    let turn = turn_to_render();
    let mut child = std::process::Command::new(cargo_bin!("book"))
        .args(["--open", "--listen", "127.0.0.1:0", "--out", RENDERED])
        .env("PATH", path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let address = announced(&mut child);
    drop(turn);
    while !opened.exists() {
        assert!(child.try_wait().expect("its state").is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        fs::read_to_string(&opened).expect("what was opened").trim(),
        format!("http://{address}/")
    );
    let id = i32::try_from(child.id()).expect("a process ID");
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("a signal");
    assert!(child.wait().expect("an end").success());
}

#[test]
fn a_missing_book_is_one_clear_line() {
    let dir = tempdir().expect("a directory");
    let said = complaint(book().arg("--book").arg(dir.path()));
    assert!(said.contains("book.toml") && said.contains("--book"), "{said}");
}

#[test]
fn an_unknown_transcript_is_one_clear_line() {
    let said = complaint(book().args(["transcripts", "no-such"]));
    assert!(said.contains("no-such"), "{said}");
}

#[test]
fn it_serves_until_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let turn = turn_to_render();
        let mut child = std::process::Command::new(cargo_bin!("book"))
            .args(["--listen", "127.0.0.1:0", "--out", RENDERED])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let address = announced(&mut child);
        drop(turn);
        // A browser opens connections that it never uses; such a connection must not delay the
        // stop.
        let _silent = TcpStream::connect(&address).expect("a connection");
        let mut client = TcpStream::connect(&address).expect("a connection");
        write!(client, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Ten Thousand Clients"));
        let id = i32::try_from(child.id()).expect("a process ID");
        kill(Pid::from_raw(id), signal).expect("a signal");
        assert!(child.wait().expect("an end").success(), "{signal}");
    }
}

/// Waits for the line that the program prints when its server is ready, and returns the address in
/// this line.
fn announced(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let (_, address) = line.split_once("http://").expect("an address");
    address.split('/').next().expect("an address").to_owned()
}
