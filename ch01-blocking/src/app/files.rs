//! Files below the root, and no others.
//!
//! A name is judged part by part before it is opened, and opened through cap-std,
//! which has the kernel itself refuse every way out of the root, symbolic links
//! included (openat2(2), RESOLVE_BENEATH; elsewhere step by step). Comparing
//! path names as text instead is how servers have leaked their neighbours' files.

use crate::app::conditional::{Precondition, evaluate};
use crate::app::site::{READ_ONLY, allow};
use crate::http::{
    Body, ExtraHeader, FileVersion, Method, Request, Response, percent_signs_are_fine,
};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// A directory whose files are served.
#[derive(Debug)]
pub(crate) struct Files {
    root: Dir,
}

/// What a name stands for.
enum Found {
    File(File, Metadata),
    Directory,
}

/// Why there is no file.
enum Missing {
    /// No such name, or one that is nobody's business.
    NotFound,
    /// A name with a percent sign that means nothing.
    Malformed,
    /// The system cannot open it now, and perhaps no other.
    Busy,
    /// The disk, most likely.
    Failed,
}

impl Files {
    /// Serves what lies below `root`.
    ///
    /// # Errors
    ///
    /// `root` is no directory, or one in which nothing may be looked up.
    pub(crate) fn open(root: &Path) -> io::Result<Files> {
        let root = Dir::open_ambient_dir(root, ambient_authority())?;
        // Linux opens it without asking for any permission (open(2), O_PATH).
        root.metadata(".")?;
        Ok(Files { root })
    }

    /// Answers a request for a file.
    pub(crate) fn respond(&self, request: &Request<'_>) -> Response {
        let found = name(request.path).and_then(|name| {
            let found = self.find(as_path(&name))?;
            Ok((name, found))
        });
        let (name, found) = match found {
            Ok(found) => found,
            Err(Missing::NotFound) => return not_found(),
            Err(Missing::Malformed) => {
                return Response::text(
                    400,
                    "400 Bad Request: a percent sign without two hexadecimal digits\n",
                );
            }
            Err(Missing::Busy) => return busy(),
            Err(Missing::Failed) => {
                return Response::text(
                    500,
                    "500 Internal Server Error: the file cannot be read\n",
                );
            }
        };
        match request.method {
            Method::Get | Method::Head => {}
            Method::Options => return allow(204, READ_ONLY),
            _ => return allow(405, READ_ONLY),
        }
        match found {
            Found::File(file, metadata) => {
                content(request, as_path(&name), file, &metadata)
            }
            // An index that is a directory is none.
            Found::Directory if request.path.ends_with('/') => not_found(),
            Found::Directory => redirect(request),
        }
    }

    /// Opens a file, or finds a directory, but nothing else that may have a name.
    fn find(&self, name: &Path) -> Result<Found, Missing> {
        // Without O_NONBLOCK, opening a FIFO waits until somebody opens its other end.
        let file = self.root.open_with(
            name,
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK),
        );
        let file = match file {
            Ok(file) => file.into_std(),
            Err(error) => {
                return match error.raw_os_error() {
                    // A directory need not be readable for what is in it to be served.
                    Some(libc::EACCES) if self.is_directory(name) => Ok(Found::Directory),
                    // The last: somebody has a lease on it, and is asked to let go (fcntl(2)).
                    Some(
                        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EWOULDBLOCK,
                    ) => Err(Missing::Busy),
                    Some(libc::EIO) => Err(Missing::Failed),
                    _ => Err(Missing::NotFound),
                };
            }
        };
        let metadata = file.metadata().map_err(|_| Missing::Failed)?;
        match metadata.file_type() {
            kind if kind.is_file() => Ok(Found::File(file, metadata)),
            kind if kind.is_dir() => Ok(Found::Directory),
            _ => Err(Missing::NotFound),
        }
    }

    fn is_directory(&self, name: &Path) -> bool {
        self.root.metadata(name).is_ok_and(|metadata| metadata.is_dir())
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// The file name that a path means, relative to the root: any bytes, as file names are.
fn name(path: &str) -> Result<Cow<'_, [u8]>, Missing> {
    let path = path.strip_prefix('/').ok_or(Missing::NotFound)?;
    let mut decoded = Cow::Borrowed(path.as_bytes());
    if path.contains('%') {
        if !percent_signs_are_fine(path.as_bytes()) {
            return Err(Missing::Malformed);
        }
        // A slash that is part of a name cannot be in any file's name.
        if path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
            return Err(Missing::NotFound);
        }
        decoded = percent_decode_str(path).into();
    }
    if decoded.is_empty() || decoded.ends_with(b"/") {
        decoded.to_mut().extend_from_slice(b"index.html");
    }
    // `..` begins with a dot as well.
    let hidden = |part: &[u8]| part.is_empty() || part[0] == b'.' || part.contains(&0);
    let is_hidden = decoded.split(|&byte| byte == b'/').any(hidden);
    if is_hidden { Err(Missing::NotFound) } else { Ok(decoded) }
}

/// A directory's own name has a slash at the end; relative links in its index depend on
/// it.
fn redirect(request: &Request<'_>) -> Response {
    // The path begins with one slash only, as empty parts were refused: with two it would
    // lead to another host.
    let path = encoded(request.path);
    let query =
        request.query.map_or_else(String::new, |query| "?".to_owned() + &encoded(query));
    let mut response = Response::text(
        301,
        "301 Moved Permanently: a directory's name ends with a slash\n",
    );
    response.extra = ExtraHeader::Location(format!("{path}/{query}"));
    response
}

/// Percent-encodes what a URL may not have as it is (RFC 3986 section 3.3), such as the
/// backslash, which browsers take for a slash. What is encoded already stays as it is.
fn encoded(text: &str) -> String {
    const NOT_IN_URLS: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'<')
        .add(b'>')
        .add(b'[')
        .add(b'\\')
        .add(b']')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    let mut parts = text.split('%');
    let begin = parts.next().unwrap_or_default();
    let mut encoded = utf8_percent_encode(begin, NOT_IN_URLS).to_string();
    for part in parts {
        // A percent sign without two digits is only itself.
        let digits = part.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        encoded += if digits == 2 { "%" } else { "%25" };
        encoded.extend(utf8_percent_encode(part, NOT_IN_URLS));
    }
    encoded
}

fn not_found() -> Response {
    Response::text(404, "404 Not Found: no such file\n")
}

/// Out of descriptors, most likely: true for a moment, and for everybody.
fn busy() -> Response {
    let mut response = Response::text(
        503,
        "503 Service Unavailable: no file can be opened now; come back in a moment\n",
    );
    response.extra = ExtraHeader::RetryAfter(1);
    response.close = true; // and one descriptor is free again
    response
}

/// A regular file, whole, in part, or not at all.
fn content(
    request: &Request<'_>,
    name: &Path,
    file: File,
    metadata: &Metadata,
) -> Response {
    let len = metadata.len();
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let version = FileVersion { modified, len };
    let file_with = |part| ExtraHeader::File { version, part };
    let (status, at, len, part) =
        match evaluate(&request.conditions(), request.method, &version) {
            Precondition::NotModified => {
                return Response { extra: file_with(None), ..Response::new(304) };
            }
            Precondition::Failed => {
                return Response::text(
                    412,
                    "412 Precondition Failed: the file is not the one you mean\n",
                );
            }
            Precondition::Unsatisfiable => {
                let mut response = Response::text(
                    416,
                    format!("416 Range Not Satisfiable: the file has {len} bytes\n"),
                );
                response.extra = ExtraHeader::NoSuchRange { len };
                return response;
            }
            Precondition::Part(first, last) => {
                (206, first, last - first + 1, Some((first, last)))
            }
            Precondition::Whole => (200, 0, len, None),
        };
    let kind = mime_guess::from_path(name).first_raw();
    Response {
        content_type: Some(kind.unwrap_or("application/octet-stream")),
        extra: file_with(part),
        body: Body::File { file, at, len },
        ..Response::new(status)
    }
}
