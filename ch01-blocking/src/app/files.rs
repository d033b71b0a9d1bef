//! Files below the root, and no others.
//!
//! A name is judged part by part before it is opened, and opened through cap-std,
//! which has the kernel itself refuse every way out of the root, symbolic links
//! included (openat2(2), RESOLVE_BENEATH; elsewhere step by step). Comparing
//! path names as text instead is how servers have leaked their neighbours' files.

use crate::app::conditional::{Precondition, evaluate};
use crate::app::site::{READ_ONLY, allow};
use crate::http::{Body, ExtraHeader, FileVersion, Method, Request, Response};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// A directory whose files are served.
#[derive(Debug)]
pub(crate) struct Files {
    root: Dir,
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
    pub(crate) fn open(root: &Path) -> io::Result<Files> {
        Ok(Files { root: Dir::open_ambient_dir(root, ambient_authority())? })
    }

    /// Answers a request for a file.
    pub(crate) fn respond(&self, request: &Request<'_>) -> Response {
        let found = name(request.path).and_then(|name| {
            let (file, metadata) = self.find(&name)?;
            Ok((name, file, metadata))
        });
        let (name, file, metadata) = match found {
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
        if metadata.is_dir() {
            // An index that is a directory is none.
            return if request.path.ends_with('/') {
                not_found()
            } else {
                redirect(request)
            };
        }
        content(request, &name, file, &metadata)
    }

    /// Opens a file or a directory, but nothing else that may have a name.
    fn find(&self, name: &str) -> Result<(File, Metadata), Missing> {
        // Without O_NONBLOCK, opening a FIFO waits until somebody opens its other end.
        let file = self.root.open_with(
            name,
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK),
        );
        let file = file.map_err(|error| match error.raw_os_error() {
            // The last: somebody has a lease on it, and is asked to let go (fcntl(2)).
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EWOULDBLOCK) => {
                Missing::Busy
            }
            Some(libc::EIO) => Missing::Failed,
            _ => Missing::NotFound,
        })?;
        let file = file.into_std();
        let metadata = file.metadata().map_err(|_| Missing::Failed)?;
        if metadata.is_file() || metadata.is_dir() {
            Ok((file, metadata))
        } else {
            Err(Missing::NotFound)
        }
    }
}

/// The file name that a path means, relative to the root.
fn name(path: &str) -> Result<Cow<'_, str>, Missing> {
    let path = path.strip_prefix('/').ok_or(Missing::NotFound)?;
    let mut decoded = Cow::Borrowed(path);
    if path.contains('%') {
        if !percent_signs_are_fine(path.as_bytes()) {
            return Err(Missing::Malformed);
        }
        // A slash that is part of a name cannot be in any file's name.
        if path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
            return Err(Missing::NotFound);
        }
        decoded =
            percent_decode_str(path).decode_utf8().map_err(|_| Missing::NotFound)?;
    }
    if decoded.is_empty() || decoded.ends_with('/') {
        decoded.to_mut().push_str("index.html");
    }
    // `..` begins with a dot as well.
    let hidden =
        |part: &str| part.is_empty() || part.starts_with('.') || part.contains('\0');
    if decoded.split('/').any(hidden) { Err(Missing::NotFound) } else { Ok(decoded) }
}

fn percent_signs_are_fine(path: &[u8]) -> bool {
    let mut rest = path.split(|&byte| byte == b'%');
    rest.next(); // before the first
    rest.all(|behind| behind.len() >= 2 && behind[..2].iter().all(u8::is_ascii_hexdigit))
}

/// A directory's own name has a slash at the end; relative links in its index depend on
/// it.
fn redirect(request: &Request<'_>) -> Response {
    // The path is sent back as it came. It begins with one slash only, as empty parts
    // were refused: with two it would lead to another host.
    let query = request.query.map_or_else(String::new, |query| format!("?{query}"));
    let mut response = Response::text(
        301,
        "301 Moved Permanently: a directory's name ends with a slash\n",
    );
    response.extra = ExtraHeader::Location(format!("{}/{query}", request.path));
    response
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
    name: &str,
    file: File,
    metadata: &Metadata,
) -> Response {
    let len = metadata.len();
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH).max(UNIX_EPOCH);
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
