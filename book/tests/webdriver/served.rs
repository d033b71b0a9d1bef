//! The book, served for one test, in a copy of the checkout with its own results and predictions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use book::files::files;
use tempfile::TempDir;

/// A server of the book, started like a reader's by `cargo run`. Dropping this kills the server.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
    out: TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// Starts a server whose runs execute fake_run.sh, and so measure nothing. `how` names the
    /// course of the runs, as that script explains.
    pub(crate) fn with_fake_runs(how: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_run.sh");
        Self::start_with(&["--rehearse", program], how)
    }

    fn start_with(options: &[&str], fake_run: &str) -> Self {
        let out = tempfile::tempdir().expect("a directory");
        let book = checkout(out.path());
        let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["--listen", "127.0.0.1:0", "--out"])
            .arg(out.path().join("rendered"))
            .arg("--book")
            .arg(book)
            .args(options)
            .env("FAKE_RUN", fake_run)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the book starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.expect("an address").to_owned();
        Self { child, address, out }
    }

    /// Returns the directory of the rendered pages.
    pub(crate) fn dir(&self) -> std::path::PathBuf {
        self.out.path().join("rendered")
    }

    /// Returns the root of the copied checkout, in whose target/lab results are stored.
    pub(crate) fn checkout(&self) -> &Path {
        self.out.path()
    }

    /// Returns the names of all pages that a reader opens. (print.html would open a dialog.)
    pub(crate) fn pages(&self) -> Vec<String> {
        let dir = self.dir();
        let names = files(&dir, "html").expect("pages").into_iter().map(|path| {
            path.strip_prefix(&dir).expect("below").to_string_lossy().into_owned()
        });
        let is_page = |name: &String| {
            !matches!(name.as_str(), "print.html" | "toc.html")
                && !name.starts_with("sources/")
        };
        names.filter(is_page).collect()
    }

    pub(crate) fn url(&self, page: &str) -> String {
        format!("http://{}/{page}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies the book into the directory `at`, links the rest of the checkout there, and returns the
/// path of the copied book. Predictions and results are stored beside the book, and those of a
/// test must not appear in the real checkout.
pub(crate) fn checkout(at: &Path) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = own.parent().expect("a checkout");
    for entry in fs::read_dir(real).expect("the checkout") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if !["book", "target", ".git"].iter().any(|other| name == *other) {
            std::os::unix::fs::symlink(&path, at.join(name)).expect("a link");
        }
    }
    copy(own, &at.join("book"));
    at.join("book")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => fs::copy(&path, &to).map(drop).expect("a copy"),
        }
    }
}
