//! Serves the files below the root directory, and no others.
//!
//! No component of a path may be empty or begin with a dot. The file is opened through
//! cap-std, where the kernel itself refuses every way out of the root, symbolic
//! links included (openat2(2), RESOLVE_BENEATH; on other systems cap-std opens one
//! component after another). Servers that compared path names as text instead have
//! leaked files outside their root.

use crate::app::conditional::{Precondition, evaluate};
use crate::app::methods::{READ_ONLY, allow};
use crate::http::{
    Body, ExtraHeader, FileVersion, Method, Request, Response, percent_digits,
    percent_signs_are_fine,
};
use crate::server::uninterrupted::uninterrupted;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
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

/// A file or directory found by its name.
enum Found {
    File(File, Metadata),
    Directory,
}

/// The reason why no file was opened.
enum Missing {
    /// No file has this name, or the name is hidden.
    NotFound,
    /// The name has a percent sign without two hexadecimal digits.
    Malformed,
    /// The file cannot be opened at the moment, but perhaps later.
    Busy,
    /// The file cannot be read, most likely because of a disk error.
    Failed,
}

impl Missing {
    /// Classifies an error of open(2). Only an error about the name means that there is no
    /// such file; an unknown error says nothing about the name.
    fn because(error: &io::Error) -> Missing {
        match error.raw_os_error() {
            // An attempt may succeed later: descriptors or memory are exhausted (EMFILE, ENFILE,
            // ENOMEM); another process holds a lease and is asked to release it (EWOULDBLOCK,
            // fcntl(2)); or a file server has replaced the file meanwhile (ESTALE).
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::EWOULDBLOCK
                | libc::ESTALE,
            ) => Missing::Busy,
            Some(
                libc::ENOENT
                | libc::ENOTDIR
                | libc::EACCES
                | libc::EPERM
                | libc::ELOOP
                | libc::ENAMETOOLONG
                | libc::EINVAL
                | libc::ENXIO // a socket
                | libc::ENODEV,
            ) => Missing::NotFound,
            Some(_) => Missing::Failed,
            None => Missing::NotFound, // cap-std: a way out of the root
        }
    }
}

impl Files {
    /// Opens the root directory.
    ///
    /// # Errors
    ///
    /// `root` is not a directory, or may not be read or searched.
    pub(crate) fn open(root: &Path) -> io::Result<Files> {
        let root = Dir::open_ambient_dir(root, ambient_authority())?;
        // cap-std opens a directory with O_PATH, for which open(2) needs no permission
        // on the directory. So its search and read permissions (path_resolution(7)) are
        // tested here.
        root.metadata(".")?;
        root.entries()?;
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
            // A path that ends with a slash stands for the `index.html` below it. Here
            // that `index.html` is a directory, so there is no file to send.
            Found::Directory if request.path.ends_with(b"/") => not_found(),
            Found::Directory => redirect(request),
        }
    }

    /// Opens a regular file, or finds a directory; any other kind of file counts as not
    /// found.
    fn find(&self, name: &Path) -> Result<Found, Missing> {
        // Without O_NONBLOCK, opening a FIFO blocks until its other end is opened.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = match uninterrupted(|| self.root.open_with(name, &options)) {
            Ok(file) => file.into_std(),
            // A directory without read permission cannot be opened. It still counts as
            // found, because search permission is enough to serve the files in it.
            Err(error)
                if error.raw_os_error() == Some(libc::EACCES)
                    && self.is_directory(name) =>
            {
                return Ok(Found::Directory);
            }
            Err(error) => return Err(Missing::because(&error)),
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

/// Returns the decoded file name for a request path, relative to the root. The name may
/// contain any bytes, as file names on Unix may.
fn name(path: &[u8]) -> Result<Cow<'_, [u8]>, Missing> {
    let path = path.strip_prefix(b"/").ok_or(Missing::NotFound)?;
    let mut decoded = Cow::Borrowed(path);
    if path.contains(&b'%') {
        if !percent_signs_are_fine(path) {
            return Err(Missing::Malformed);
        }
        // An encoded slash separates no components. It would be part of a file's name,
        // but no name contains a slash, so no such file exists.
        if path.windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
            return Err(Missing::NotFound);
        }
        decoded = percent_decode(path).into();
    }
    if decoded.is_empty() || decoded.ends_with(b"/") {
        decoded.to_mut().extend_from_slice(b"index.html");
    }
    // A name that begins with a dot is hidden, and `..` is such a name.
    let hidden = |part: &[u8]| part.is_empty() || part[0] == b'.' || part.contains(&0);
    let is_hidden = decoded.split(|&byte| byte == b'/').any(hidden);
    if is_hidden { Err(Missing::NotFound) } else { Ok(decoded) }
}

/// Redirects a request for a directory to the same path with a slash at the end. The
/// relative links in the directory's `index.html` depend on that slash.
fn redirect(request: &Request<'_>) -> Response {
    // The path begins with a single slash, because empty components were refused. A
    // `Location` that begins with two slashes would name another host.
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

/// Percent-encodes the characters that a URL may not contain (RFC 3986 section 3.3),
/// such as the backslash, which browsers read as a slash. Characters that are already
/// encoded stay as they are.
fn encoded(text: &[u8]) -> String {
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
    let mut parts = text.split(|&byte| byte == b'%');
    let begin = parts.next().unwrap_or_default();
    let mut encoded = percent_encode(begin, NOT_IN_URLS).to_string();
    for part in parts {
        // A percent sign without two hexadecimal digits stands for itself, so it is
        // encoded.
        encoded += if percent_digits(part) { "%" } else { "%25" };
        encoded.extend(percent_encode(part, NOT_IN_URLS));
    }
    encoded
}

fn not_found() -> Response {
    Response::text(404, "404 Not Found: no such file\n")
}

/// Returns a 503 answer: no file can be opened at the moment, most likely because no
/// descriptor is left.
fn busy() -> Response {
    let mut response = Response::text(
        503,
        "503 Service Unavailable: no file can be opened now; come back in a moment\n",
    );
    response.extra = ExtraHeader::RetryAfter(1);
    response.close = true; // closing frees a descriptor
    response
}

/// Answers a request for a regular file with the whole file, a part of it, or no content,
/// as the request's conditions demand.
fn content(
    request: &Request<'_>,
    name: &Path,
    file: File,
    metadata: &Metadata,
) -> Response {
    let len = metadata.len();
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let version = FileVersion { modified, len };
    let extra = ExtraHeader::File(version);
    let (status, at, len) =
        match evaluate(&request.conditions(), request.method, &version) {
            Precondition::NotModified => {
                return Response { extra, ..Response::new(304) };
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
            Precondition::Part(first, last) => (206, first, last - first + 1),
            Precondition::Whole => (200, 0, len),
        };
    let kind = mime_guess::from_path(name).first_raw();
    Response {
        content_type: Some(kind.unwrap_or("application/octet-stream")),
        extra,
        body: Body::File { file, at, len },
        ..Response::new(status)
    }
}
