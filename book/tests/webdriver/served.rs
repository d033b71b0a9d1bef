//! The book, served for one test, in a copy of the checkout with its own results and predictions.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use manuscript::files::files;
use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

/// The directory of the rendered pages. All tests share it, because rendering takes seconds.
pub(crate) const RENDERED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/rendered");

/// A running server of the book, started as `cargo run` starts one. Dropping the value kills the
/// server.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: String,
    checkout: TempDir,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], "")
    }

    /// Starts a server whose runs execute fake_run.sh, and so measure nothing. `how` names the
    /// course of the runs; the comments in fake_run.sh explain the names.
    pub(crate) fn with_fake_runs(how: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake_run.sh");
        Self::start_with(&["--rehearse", program], how)
    }

    fn start_with(options: &[&str], fake_run: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let book = checkout(dir.path());
        let _turn = turn_to_render();
        let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["--listen", "127.0.0.1:0", "--out", RENDERED, "--book"])
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
        Self { child, address, checkout: dir }
    }

    /// Returns the root of the copied checkout, in whose target/lab results are stored.
    pub(crate) fn checkout(&self) -> &Path {
        self.checkout.path()
    }

    /// Returns the names of all pages that a reader opens. (print.html is left out, because it
    /// would open the browser's print dialog.)
    pub(crate) fn pages(&self) -> Vec<String> {
        let dir = Path::new(RENDERED);
        let names = files(dir, "html").expect("pages").into_iter().map(|path| {
            path.strip_prefix(dir).expect("below").to_string_lossy().into_owned()
        });
        let is_page = |name: &String| {
            !matches!(name.as_str(), "print.html" | "toc.html")
                && !name.starts_with("sources/")
        };
        names.filter(is_page).collect()
    }

    /// Returns the server's origin with a slash. Every URL of the server begins like this.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn url(&self, page: &str) -> String {
        self.origin() + page
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until no other test is starting a server, and returns the lock. The first server renders
/// the pages; later servers find the pages up to date.
pub(crate) fn turn_to_render() -> Flock<fs::File> {
    let file = fs::File::create(format!("{RENDERED}.lock")).expect("a file");
    Flock::lock(file, FlockArg::LockExclusive).expect("a lock")
}

/// Copies the book into the directory `at`, links the rest of the checkout there, and returns the
/// path of the copied book. Predictions and results are stored beside the book, and a test must not
/// store any in the real checkout.
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
            false => copy_file(&path, &to).expect("a copy"),
        }
    }
}

/// Copies a file together with the file's time of modification, by which the server decides whether
/// the pages must be rendered again.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::File::options()
        .write(true)
        .open(to)?
        .set_modified(fs::metadata(from)?.modified()?)
}
