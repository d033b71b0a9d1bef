//! Static files: the bytes of a file, and the header fields that describe a file.

mod changing;
pub(super) mod cold;
mod content;
mod fields;
mod names;

use crate::case::{Case, Need};
use crate::ctx::Ctx;
use crate::fixture;
use crate::verdict::{Abort, Verdict};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

pub(super) const CASES: &[&[Case]] =
    &[content::CASES, names::CASES, fields::CASES, changing::CASES, cold::CASES];

const NEED: &[Need] = &[Need::Files];

/// Creates a separate document root for the case, which may change the files in it.
pub(super) fn own_root(ctx: &mut Ctx<'_>) -> Result<tempfile::TempDir, Abort> {
    // Any user may enter the directory, because the server may run as another user.
    let base = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .map_err(|error| Abort::skip(format!("cannot create a directory: {error}")))?;
    ctx.root =
        base.path().canonicalize().map_err(|error| Abort::skip(error.to_string()))?;
    write(ctx, b"file.txt", b"bytes")?;
    write(ctx, b"plaintext", b"Hello, World!")?;
    Ok(base)
}

/// Writes a file below the case's document root, and creates the file's directory if it is missing.
pub(super) fn write(ctx: &Ctx<'_>, name: &[u8], content: &[u8]) -> Verdict {
    let path = ctx.root.join(OsStr::from_bytes(name));
    let directory = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    directory
        .and_then(|()| std::fs::write(path, content))
        .map_err(|error| Abort::skip(format!("cannot write a file: {error}")))
}

/// Writes a file below the case's document root, and sets its modification time to `changed`.
fn write_at(ctx: &Ctx<'_>, name: &str, content: &[u8], changed: SystemTime) -> Verdict {
    write(ctx, name.as_bytes(), content)?;
    std::fs::File::options()
        .append(true)
        .open(ctx.root.join(name))
        .and_then(|file| file.set_modified(changed))
        .map_err(|error| Abort::skip(format!("cannot set a modification time: {error}")))
}

/// Asserts that a request for `target` is answered with the content of the fixture's file `name`.
fn is_file(ctx: &mut Ctx<'_>, target: &str, name: &str) -> Verdict {
    ctx.get(target)?.is(200)?.has_content(fixture::content(name)).map(drop)
}
