//! The book, served for a test: with results and predictions of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use book::files::files;
use tempfile::TempDir;

/// The book, served as a reader's `cargo run` would.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
    out: TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// With runs that measure nothing; `how` they go, fake_run.sh says.
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

    pub(crate) fn dir(&self) -> std::path::PathBuf {
        self.out.path().join("rendered")
    }

    /// Beside which results are kept.
    pub(crate) fn checkout(&self) -> &Path {
        self.out.path()
    }

    /// The pages that a reader opens; print.html would open the print dialogue.
    pub(crate) fn pages(&self) -> Vec<String> {
        let dir = self.dir();
        let names = files(&dir, "html").expect("pages").into_iter().map(|path| {
            path.strip_prefix(&dir).expect("below").to_string_lossy().into_owned()
        });
        names.filter(|name| !matches!(name.as_str(), "print.html" | "toc.html")).collect()
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

/// A copy of the book with the sources beside it that it includes: what a reader predicts and
/// measures is kept beside the book, and what a test does is nobody's result.
fn checkout(at: &Path) -> PathBuf {
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
