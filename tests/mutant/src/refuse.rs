//! The short way to a refusal that closes.

use crate::answer::Refusal;
use crate::wire::Ending;

/// 400, which closes.
pub(crate) fn bad<T>(why: &'static str) -> Result<T, Ending> {
    refuse(400, why)
}

/// A refusal that closes.
pub(crate) fn refuse<T>(status: u16, why: &'static str) -> Result<T, Ending> {
    Err(Ending::Refused(Refusal::closing(status, why)))
}
