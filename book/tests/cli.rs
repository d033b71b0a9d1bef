//! The program `book`, as somebody at a terminal meets it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use assert_cmd::{Command, cargo_bin};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::tempdir;

fn book() -> Command {
    let mut command = Command::new(cargo_bin!("book"));
    command.timeout(Duration::from_secs(60));
    command
}

/// Runs it, wants it to fail, and returns the one line that it says.
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
    // And again into the same place.
    book()
        .args(["--no-serve", "--out", "pages"])
        .current_dir(dir.path())
        .assert()
        .success();
}

#[test]
fn it_deletes_nothing_that_is_no_book() {
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
        let dir = tempdir().expect("a directory");
        let mut child = std::process::Command::new(cargo_bin!("book"))
            .args(["--listen", "127.0.0.1:0", "--out"])
            .arg(dir.path().join("book"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let address = announced(&mut child);
        // A browser opens connections that it never uses; they must not hold up the end.
        let _silent = TcpStream::connect(&address).expect("a connection");
        let mut client = TcpStream::connect(&address).expect("a connection");
        write!(client, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Ten Thousand Clients"));
        let id = i32::try_from(child.id()).expect("a process number");
        kill(Pid::from_raw(id), signal).expect("a signal");
        assert!(child.wait().expect("an end").success(), "{signal}");
    }
}

/// The address in the line that it prints when it is ready.
fn announced(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let (_, address) = line.split_once("http://").expect("an address");
    address.split('/').next().expect("an address").to_owned()
}
