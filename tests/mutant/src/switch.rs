//! The mistakes that this server process makes on purpose: chosen once at startup, queried
//! everywhere.

use std::sync::OnceLock;

use crate::mutations::Mutation;

static CHOSEN: OnceLock<Vec<Mutation>> = OnceLock::new();

/// Sets the mistakes that this process makes. The server calls this function before it accepts
/// the first connection.
pub(crate) fn choose(mutations: Vec<Mutation>) {
    // Only the first call to `choose` has an effect.
    let _ = CHOSEN.set(mutations);
}

/// Returns whether this process makes the mistake `mutation`.
pub(crate) fn wrong(mutation: Mutation) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen.contains(&mutation))
}
