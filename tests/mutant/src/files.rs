//! Serves static files below the document root, and nothing outside it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::answer::{Body, HttpError, Response};
use crate::conditions::{self, Verdict};
use crate::date;
use crate::head::Head;
use crate::mutations::Mutation;
use crate::ranges;
use crate::server::Server;
use crate::site::decode_part;
use crate::switch::wrong;

/// The properties of a file that clients see, and that the conditions of a request are compared
/// with.
pub(crate) struct Representation {
    pub(crate) etag: String,
    /// The modification time in whole seconds since 1970, as in `Last-Modified`.
    pub(crate) modified: i64,
    pub(crate) len: u64,
}

fn missing() -> Response {
    HttpError::kept(404, "no such file").into()
}

/// Responds with the file whose path below the document root consists of the decoded segments
/// `parts`.
pub(crate) fn respond(parts: &[&str], head: &Head, server: &Server) -> Response {
    let Some((&last, directories)) = parts.split_last() else {
        return missing();
    };
    let harmless = |part: &str| {
        plain(part)
            // The mistake: the path is checked before it is decoded, and `%2e%2e` has no dots.
            || (wrong(Mutation::DotsCheckedEncoded) && part == ".." && !head.path.contains(".."))
            || (wrong(Mutation::JoinsAbsolute) && part.is_empty())
    };
    if !directories.iter().all(|part| harmless(part))
        || !(last.is_empty() || harmless(last))
    {
        return missing();
    }
    let mut path = server.root.join(path_of(&directories.join("/"))).join(path_of(last));
    if wrong(Mutation::JoinsAbsolute) {
        // The mistake: `join` replaces the document root when the file's name begins with a slash.
        path = server.root.join(path_of(&parts.join("/")));
    }
    let Some(mut path) = resolve(&path) else {
        return missing();
    };
    if !inside(&path, server) {
        return missing();
    }
    if path.is_dir() {
        if wrong(Mutation::UnreadableMissing) && std::fs::read_dir(&path).is_err() {
            return missing();
        }
        if !last.is_empty() && !wrong(Mutation::NoRedirect) {
            return redirect(head);
        }
        match resolve(&path.join("index.html")) {
            Some(index) if inside(&index, server) => path = index,
            _ if wrong(Mutation::ListsDirectories) => return list(&path),
            _ => return missing(),
        }
    } else if last.is_empty() && !wrong(Mutation::SlashBehindFile) {
        return missing();
    }
    open(&path, head, server)
}

/// Converts a decoded file name, whose characters each stand for one byte, to a path of these
/// bytes.
fn path_of(name: &str) -> PathBuf {
    let bytes: Vec<u8> = name.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    if wrong(Mutation::NamesAreText) {
        return PathBuf::from(String::from_utf8_lossy(&bytes).into_owned());
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Returns whether a decoded segment of a path is allowed in a file name.
fn plain(part: &str) -> bool {
    if wrong(Mutation::PrefixOfRoot) && part == ".." {
        return true;
    }
    !part.is_empty()
        && !(part.starts_with('.')
            && !(wrong(Mutation::ServesDotfiles) && part.len() > 2))
        && (!part.contains('/') || wrong(Mutation::EncodedSlash))
        && (!part.contains('\0') || wrong(Mutation::NulEndsName))
}

/// Returns the path with every symbolic link resolved, or `None` if there is no such file.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_path_buf();
    if wrong(Mutation::NulEndsName) {
        let text = path.to_str()?;
        path = PathBuf::from(text.split('\0').next()?);
    }
    if wrong(Mutation::DecodesTwice) {
        path = PathBuf::from(decode_part(path.to_str()?)?);
    }
    if wrong(Mutation::SlashBehindFile)
        && let Some(trimmed) = path.to_str()
    {
        path = PathBuf::from(trimmed.trim_end_matches('/'));
    }
    path.canonicalize().ok()
}

fn inside(path: &Path, server: &Server) -> bool {
    let unchecked = [
        Mutation::FollowsLinksOut,
        Mutation::DecodesTwice,
        Mutation::DotsCheckedEncoded,
        Mutation::JoinsAbsolute,
    ];
    if unchecked.into_iter().any(wrong) {
        return true;
    }
    if wrong(Mutation::PrefixOfRoot) {
        // The mistake: the path is compared as text, and "/srv/www-private" begins with "/srv/www".
        let (path, root) = (path.to_string_lossy(), server.root.to_string_lossy());
        return path.starts_with(&*root);
    }
    path.starts_with(&server.root)
}

fn redirect(head: &Head) -> Response {
    let query = match &head.query {
        Some(query) if !wrong(Mutation::RedirectLosesQuery) => format!("?{query}"),
        _ => String::new(),
    };
    let location = if wrong(Mutation::RedirectAsItCame) {
        format!("{}/{query}", head.path)
    } else {
        encoded(&format!("{}/{query}", head.path))
    };
    Response::text(301, format!("moved to {location}\n")).with("Location", location)
}

/// Percent-encodes the characters that are not allowed in a URL, and percent signs without two hex
/// digits.
fn encoded(url: &str) -> String {
    let mut encoded = String::new();
    for (at, byte) in url.bytes().enumerate() {
        let digits = url.get(at + 1..at + 3).unwrap_or_default();
        let fine = match byte {
            b'%' => {
                digits.bytes().filter(u8::is_ascii_hexdigit).count() == 2
                    && !wrong(Mutation::RedirectEncodesTwice)
            }
            other => {
                other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&other)
            }
        };
        if fine {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn list(path: &Path) -> Response {
    let names = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("{}\n", entry.file_name().to_string_lossy()));
    Response::text(200, names.collect::<String>())
}

fn open(path: &Path, head: &Head, server: &Server) -> Response {
    let mut options = OpenOptions::new();
    options.read(true);
    if wrong(Mutation::OpensFifo) {
        // The mistake: opening a named pipe blocks until the pipe has a writer.
        return match options.open(path) {
            Ok(file) => file_response(file, path, head),
            Err(_) => missing(),
        };
    }
    // With O_NONBLOCK, opening a named pipe does not block. The file's type is checked after
    // opening, because the file at `path` may be replaced between a check and the opening.
    let opened = options.custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    match opened {
        Ok(file) if file.metadata().is_ok_and(|meta| meta.is_file()) => {
            file_response(file, path, head)
        }
        Err(why)
            if why.kind() != ErrorKind::PermissionDenied
                && out_of_descriptors(&why)
                && !wrong(Mutation::MissingWithoutDescriptor) =>
        {
            HttpError::closing(503, "the server has run out of file descriptors").into()
        }
        // The file could not be opened at once, because another process holds a lease on it
        // (fcntl(2), F_SETLEASE). A helper thread opens the file again, without O_NONBLOCK, and so
        // waits until the lease is released. It cannot end up waiting for the writer of a pipe,
        // because only a regular file can have a lease.
        Err(why)
            if why.kind() == ErrorKind::WouldBlock
                && server.options.file_threads.is_some()
                && !wrong(Mutation::FilesRefused) =>
        {
            match File::open(path) {
                Ok(file) => file_response(file, path, head),
                Err(_) => missing(),
            }
        }
        Err(why) if why.kind() == ErrorKind::WouldBlock => {
            HttpError::closing(503, "the file cannot be opened at the moment").into()
        }
        _ => missing(),
    }
}

fn out_of_descriptors(why: &std::io::Error) -> bool {
    use nix::errno::Errno::{EMFILE, ENFILE};
    why.raw_os_error().is_some_and(|code| code == EMFILE as i32 || code == ENFILE as i32)
}

fn file_response(file: File, path: &Path, head: &Head) -> Response {
    let Ok(meta) = file.metadata() else {
        return missing();
    };
    if wrong(Mutation::DiesOfOldFile) && meta.mtime() < 0 {
        std::process::abort();
    }
    let mut seconds = meta.mtime();
    if wrong(Mutation::OldFilesAlike) {
        seconds = seconds.max(0);
    }
    let weak = if wrong(Mutation::WeakEtag) { "W/" } else { "" };
    let representation = Representation {
        etag: if wrong(Mutation::ConstantEtag) {
            format!("\"{:x}\"", meta.ino())
        } else {
            format!(
                "{weak}\"{:x}-{seconds:x}.{:x}-{:x}\"",
                meta.ino(),
                meta.mtime_nsec(),
                meta.len()
            )
        },
        modified: seconds,
        len: meta.len(),
    };
    let len = representation.len;
    let response = match conditions::check(head, &representation) {
        Verdict::Failed => {
            return HttpError::kept(412, "the file does not match the condition").into();
        }
        Verdict::NotModified => Response::new(304, Body::File { file, at: 0, len }),
        Verdict::Send { range: None } => {
            Response::new(200, Body::File { file, at: 0, len })
        }
        Verdict::Send { range: Some(range) } => ranges::respond(range, file, len),
    };
    if response.error {
        return response;
    }
    let mut response = response;
    if response.status != 304 || !wrong(Mutation::NotModifiedWithoutTag) {
        response = response.with("ETag", representation.etag);
    }
    response = response.with("Last-Modified", date::write(representation.modified));
    if response.status != 304 {
        response = response
            .with("Content-Type", content_type(path))
            .with("Accept-Ranges", "bytes");
    }
    response
}

fn content_type(path: &Path) -> &'static str {
    if wrong(Mutation::NoContentType) {
        return "application/octet-stream";
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.unwrap_or("").to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
