//! Shorthands for an error that closes the connection.

use crate::answer::HttpError;
use crate::wire::End;

/// Returns an error at which the server answers with status 400 and closes the connection.
pub(crate) fn bad<T>(why: &'static str) -> Result<T, End> {
    refuse(400, why)
}

/// Returns an error at which the server answers with `status` and closes the connection.
pub(crate) fn refuse<T>(status: u16, why: &'static str) -> Result<T, End> {
    Err(End::Refused(HttpError::closing(status, why)))
}
