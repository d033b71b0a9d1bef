//! The document root of every server under test. The files beside the root must never be served.
//!
//! The files are always the same, unless the suite is given a seed. A seed gives the files other
//! names, contents and sizes, and cuts requests in two at other places, so that a server written
//! only for the usual files fails. A case names each file by its usual name; [`Variant::name`]
//! replaces the words in the name if there is a seed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

/// The content of every file outside the root. No response may contain it.
pub const SECRET: &str = "outside the root: no response may contain this";

/// The small files inside the root: their usual names and contents, which a seed changes.
const FILES: &[(&str, &[u8])] = &[
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
    ("old.txt", b"from 1950\n"),
    (".hidden", b"a dotfile\n"),
    (".git/config", b"a dot directory\n"),
    // For a server that only serves files, this file takes the place of the route `/plaintext`.
    ("plaintext", b"Hello, World!"),
];

/// The length of `middle.bin` in bytes, to which a seed adds up to [`LONGER`] bytes.
const MIDDLE: usize = 100 * 1024;
/// The length of `large.bin` in bytes: more than the socket buffers of both ends hold if the
/// client's receive buffer is small. A seed adds up to [`LONGER`] bytes.
const LARGE: usize = 3 * 1024 * 1024 + 7;
/// Upper bound of the number of bytes that a seed adds to `middle.bin` and to `large.bin`.
const LONGER: usize = 8 * 1024;

/// The words in file names that a seed replaces by random words.
const WORDS: &[&str] = &[
    "cent", "data", "dir", "dot", "empty", "hello", "inside", "large", "middle", "old",
    "one", "out", "page", "per", "picture", "pipe", "plus", "relative", "script",
    "sibling", "socket", "space", "style", "sub", "ten", "utf", "with",
];

/// Words that a seed may not put into a file name: names of routes, and words that already occur in
/// paths of the fixture.
const TAKEN: &[&str] = &[
    "bytes",
    "config",
    "echo",
    "elsewhere",
    "file",
    "hidden",
    "html",
    "index",
    "loop",
    "panic",
    "plaintext",
    "root",
    "secret",
    "sleep",
    "stats",
];

/// A variant of the document root: the files' names, contents and sizes, and the places at which
/// cases cut requests.
#[derive(Debug)]
pub struct Variant {
    /// The seed that determines the variant; `None` for the usual files.
    pub seed: Option<u64>,
    /// The replacement of each word in [`WORDS`]; empty without a seed.
    words: BTreeMap<&'static str, String>,
    /// The length of `middle.bin`, in bytes.
    pub middle: usize,
    /// The length of `large.bin`, in bytes.
    pub large: usize,
}

impl Variant {
    /// Returns the variant that `seed` determines, or, for `None`, the one with the usual files.
    pub fn new(seed: Option<u64>) -> Self {
        let Some(number) = seed else {
            return Self { seed, words: BTreeMap::new(), middle: MIDDLE, large: LARGE };
        };
        let mut random = fastrand::Rng::with_seed(number);
        let mut words: BTreeMap<&str, String> = BTreeMap::new();
        for word in WORDS {
            // A replacement differs from all other words, so that two files cannot get the same
            // name.
            let new = loop {
                let length = random.usize(4..9);
                let new: String = (0..length).map(|_| random.lowercase()).collect();
                let known = WORDS.contains(&&*new) || TAKEN.contains(&&*new);
                if !known && !words.values().any(|other| *other == new) {
                    break new;
                }
            };
            words.insert(word, new);
        }
        let middle = MIDDLE + random.usize(1..LONGER);
        let large = LARGE + random.usize(1..LONGER);
        Self { seed, words, middle, large }
    }

    /// Replaces the words in a file name or request target by the words that the seed determines.
    /// Without a seed, returns the name or target unchanged.
    pub fn name(&self, usual: &str) -> String {
        if self.words.is_empty() {
            return usual.to_owned();
        }
        let mut name = String::new();
        let mut rest = usual;
        while !rest.is_empty() {
            let letter = |c: char| c.is_ascii_lowercase();
            let end = match rest.find(|c| !letter(c)) {
                Some(0) => rest.find(letter).unwrap_or(rest.len()),
                Some(end) => end,
                None => rest.len(),
            };
            let (part, more) = rest.split_at(end);
            name += self.words.get(part).map_or(part, String::as_str);
            rest = more;
        }
        name
    }

    /// Returns the content of the small file whose usual name, without a seed, is `usual`, or
    /// `None` if there is no such file.
    pub fn content(&self, usual: &str) -> Option<Vec<u8>> {
        let at = FILES.iter().position(|(name, _)| *name == usual)?;
        let content = FILES[at].1;
        let Some(seed) = self.seed else { return Some(content.to_vec()) };
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(1 + at as u64));
        Some(match usual {
            "empty.txt" | "plaintext" | "data.json" | "picture.svg" => content.to_vec(),
            "one.txt" => vec![random.alphanumeric() as u8],
            "ten.txt" => {
                // The ten bytes of `ten.txt` are all different, so that a response with the wrong
                // range has the wrong content.
                let mut letters: Vec<u8> = (b'a'..=b'z').collect();
                random.shuffle(&mut letters);
                letters[..10].to_vec()
            }
            _ => {
                let length = random.usize(1..40);
                let more = std::iter::repeat_with(|| random.alphanumeric() as u8);
                content.iter().copied().chain(more.take(length)).chain(*b"\n").collect()
            }
        })
    }

    /// Returns the content of `large.bin`, whose beginning is also the content of `middle.bin`. No
    /// 256 consecutive bytes occur in it twice, so bytes from a wrong offset differ from the bytes
    /// expected; without a seed, this holds for the first 2 MiB only, because the content then
    /// begins again.
    fn pattern(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.large];
        let Some(seed) = self.seed else {
            // A plain loop, because iterators are slow without optimization: every test program
            // computes this content, and test programs are not optimized.
            let (mut at, mut product) = (0, 0_u64);
            while at < bytes.len() {
                bytes[at] = (product >> 13) as u8 ^ (at >> 8) as u8;
                product = product.wrapping_add(2_654_435_761);
                at += 1;
            }
            return bytes;
        };
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        bytes
    }

    /// Returns the position at which to cut a request of `length` bytes in two: `usual` without a
    /// seed, otherwise a position that depends on the seed and `length` only. With a seed, neither
    /// part is empty if `length` is at least 2.
    pub fn cut(&self, usual: usize, length: usize) -> usize {
        match self.seed {
            Some(seed) if length >= 2 => {
                let own = seed.wrapping_mul(31).wrapping_add(length as u64);
                fastrand::Rng::with_seed(own).usize(1..length)
            }
            _ => usual,
        }
    }

    /// Creates the document root `base/root`, and files beside it in `base`. Returns the root's
    /// path.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be created.
    pub fn make(&self, base: &Path) -> io::Result<PathBuf> {
        let root = base.join("root");
        for (name, _) in FILES {
            let path = root.join(self.name(name));
            fs::create_dir_all(path.parent().unwrap_or(&root))?;
            fs::write(path, self.content(name).unwrap_or_default())?;
        }
        let pattern = self.pattern();
        fs::write(root.join(self.name("middle.bin")), &pattern[..self.middle])?;
        fs::write(root.join(self.name("large.bin")), pattern)?;
        // The modification time of `old.txt` is in 1950, before the Unix epoch (1970), so it is a
        // negative number of seconds.
        let old = UNIX_EPOCH - Duration::from_secs(20 * 365 * 86_400);
        let file =
            fs::File::options().append(true).open(root.join(self.name("old.txt")))?;
        file.set_modified(old)?;

        // The name `root-secret` begins with the root's name, `root`: a server that compares paths
        // as text takes this directory for a part of the root.
        for outside in ["root-secret", "elsewhere"] {
            fs::create_dir_all(base.join(outside))?;
            fs::write(base.join(outside).join("secret.txt"), SECRET)?;
            fs::write(base.join(outside).join("index.html"), SECRET)?;
        }
        fs::write(base.join("secret.txt"), SECRET)?;
        self.special(base, &root)?;
        Ok(root)
    }

    #[cfg(unix)]
    fn special(&self, base: &Path, root: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let link = |to: PathBuf, name: &str| match symlink(to, root.join(self.name(name)))
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        link(base.join("secret.txt"), "out.txt")?;
        link(PathBuf::from("../secret.txt"), "out-relative.txt")?;
        link(base.join("elsewhere"), "out-dir")?;
        link(base.join("root-secret"), "out-sibling")?;
        link(PathBuf::from(self.name("hello.txt")), "inside.txt")?;
        link(PathBuf::from(self.name("sub")), "inside-dir")?;
        link(PathBuf::from("loop-b"), "loop-a")?;
        link(PathBuf::from("loop-a"), "loop-b")?;
        let pipe = root.join(self.name("pipe"));
        if !pipe.exists() {
            nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o644))?;
        }
        let socket = root.join(self.name("socket"));
        if !socket.exists() {
            // Dropping the listener closes the socket but leaves its name in the document root: an
            // example of a file that is not a regular file.
            std::os::unix::net::UnixListener::bind(socket)?;
        }
        // Every user may enter the directory, because some cases run the server as another user.
        fs::set_permissions(base, fs::Permissions::from_mode(0o755))
    }

    #[cfg(not(unix))]
    fn special(&self, _base: &Path, _root: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The variant of the files that this process uses.
static CHOSEN: OnceLock<Variant> = OnceLock::new();

/// Chooses the seed of this process. Must be called before any file or case is used; only the
/// first call has an effect.
pub fn set_seed(seed: u64) {
    let _ = CHOSEN.set(Variant::new(Some(seed)));
}

/// Returns the variant of the files that this process uses: the one that the seed determines, or,
/// if no seed was set, the usual one.
pub fn variant() -> &'static Variant {
    CHOSEN.get_or_init(|| Variant::new(None))
}

/// The content of the largest file, `large.bin`, which is computed once.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| variant().pattern());

/// Returns the first `length` bytes of `large.bin`. The content of `middle.bin` is
/// `pattern(middle())`.
///
/// # Panics
///
/// Panics if `length` is more than the length of `large.bin`.
pub fn pattern(length: usize) -> Vec<u8> {
    PATTERN[..length].to_vec()
}

/// Returns the length of `middle.bin`, in bytes.
pub fn middle() -> usize {
    variant().middle
}

/// Returns the length of `large.bin`, in bytes.
pub fn large() -> usize {
    variant().large
}

/// Returns the content of the fixture's small file whose usual name, without a seed, is `usual`.
///
/// # Panics
///
/// Panics if the fixture has no such file: a bug in the case.
pub fn content(usual: &str) -> Vec<u8> {
    variant().content(usual).unwrap_or_else(|| panic!("no file {usual} in the fixture"))
}

/// Returns the content that the route `/bytes/N` generates, where N is `length`.
pub fn generated(length: usize) -> Vec<u8> {
    let line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n";
    let mut content = line.repeat(length.div_ceil(line.len()));
    content.truncate(length);
    content
}
