//! The document root of every server under test: always the same bytes. The files beside the root
//! must never be served.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

/// The content of every file outside the root. No response may contain it.
pub const SECRET: &str = "outside the root: no response may contain this";

/// The small files inside the root: name and content.
pub const FILES: &[(&str, &[u8])] = &[
    ("index.html", b"<!doctype html><title>root</title><p>The root.\n"),
    ("empty.txt", b""),
    ("one.txt", b"x"),
    ("hello.txt", b"Hello, file!\n"),
    ("ten.txt", b"0123456789"),
    ("style.css", b"p { color: teal }\n"),
    ("script.js", b"console.log('hello');\n"),
    ("data.json", b"{\"a\": 1}\n"),
    ("picture.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n"),
    ("dot.png", b"\x89PNG\r\n\x1a\n"),
    ("with space.txt", b"a space\n"),
    ("per%cent.txt", b"a percent sign\n"),
    ("%41.txt", b"decoded once\n"),
    ("plus+plus.txt", b"a plus\n"),
    ("gr\u{fc}n.txt", b"an umlaut\n"),
    ("utf8.txt", "gr\u{fc}n, \u{20ac} and \u{1f980}\n".as_bytes()),
    ("sub/index.html", b"<!doctype html><title>sub</title><p>Below.\n"),
    ("sub/page.html", b"<!doctype html><title>page</title><p>A page.\n"),
    ("no-index/file.txt", b"here\n"),
    (".hidden", b"a dotfile\n"),
    (".git/config", b"a dot directory\n"),
    // For a server that only serves files, this file takes the place of the route `/plaintext`.
    ("plaintext", b"Hello, World!"),
];

/// The length of `middle.bin`, in bytes.
pub const MIDDLE: usize = 100 * 1024;
/// The length of `large.bin`, in bytes: more than any socket buffer holds.
pub const LARGE: usize = 3 * 1024 * 1024 + 7;

/// The content of the largest file, which is computed once.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..LARGE as u64)
        .map(|i| ((i * 2_654_435_761) >> 13) as u8 ^ (i >> 8) as u8)
        .collect()
});

/// Returns the content of a larger file: `length` bytes, of which no two pieces are alike.
///
/// # Panics
///
/// Panics if `length` is more than [`LARGE`].
pub fn pattern(length: usize) -> Vec<u8> {
    PATTERN[..length].to_vec()
}

/// Returns the content of `/bytes/N`, where N is `length`.
pub fn generated(length: usize) -> Vec<u8> {
    let line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    let mut content = line.repeat(length.div_ceil(line.len()));
    content.truncate(length);
    content
}

/// Creates the document root `base/root`, and files beside it in `base`. Returns the root's path.
pub fn make(base: &Path) -> io::Result<PathBuf> {
    let root = base.join("root");
    for (name, content) in FILES {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&root))?;
        fs::write(path, content)?;
    }
    fs::write(root.join("middle.bin"), pattern(MIDDLE))?;
    fs::write(root.join("large.bin"), pattern(LARGE))?;
    // A modification time in 1950, before the Unix epoch (1970), from which most programs count.
    let old = UNIX_EPOCH - Duration::from_secs(20 * 365 * 86_400);
    fs::write(root.join("old.txt"), b"from 1950\n")?;
    fs::File::options().append(true).open(root.join("old.txt"))?.set_modified(old)?;

    // A directory whose name begins with the root's name: a server that checks paths by a text
    // prefix takes the directory for a part of the root.
    for outside in ["root-secret", "elsewhere"] {
        fs::create_dir_all(base.join(outside))?;
        fs::write(base.join(outside).join("secret.txt"), SECRET)?;
        fs::write(base.join(outside).join("index.html"), SECRET)?;
    }
    fs::write(base.join("secret.txt"), SECRET)?;
    special(base, &root)?;
    Ok(root)
}

#[cfg(unix)]
fn special(base: &Path, root: &Path) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let link = |to: PathBuf, name: &str| match symlink(to, root.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    link(base.join("secret.txt"), "out.txt")?;
    link(PathBuf::from("../secret.txt"), "out-relative.txt")?;
    link(base.join("elsewhere"), "out-dir")?;
    link(base.join("root-secret"), "out-sibling")?;
    link(PathBuf::from("hello.txt"), "inside.txt")?;
    link(PathBuf::from("sub"), "inside-dir")?;
    link(PathBuf::from("loop-b"), "loop-a")?;
    link(PathBuf::from("loop-a"), "loop-b")?;
    let pipe = root.join("pipe");
    if !pipe.exists() {
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o644))?;
    }
    let socket = root.join("socket");
    if !socket.exists() {
        // Dropping the listener closes the socket but leaves its name in the document root: a file
        // that is not a regular file.
        std::os::unix::net::UnixListener::bind(socket)?;
    }
    // Some cases run the server as another user; that user must be able to read the files.
    fs::set_permissions(base, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn special(_base: &Path, _root: &Path) -> io::Result<()> {
    Ok(())
}
