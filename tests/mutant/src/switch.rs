//! The mistakes that this process makes: chosen once at startup, queried everywhere.

use std::sync::OnceLock;

use crate::mutations::Mutation;

static CHOSEN: OnceLock<Vec<Mutation>> = OnceLock::new();

/// Sets the mistakes that this process makes. Must be called before the first connection is
/// accepted.
pub(crate) fn choose(mutations: Vec<Mutation>) {
    // Only the first call has an effect.
    let _ = CHOSEN.set(mutations);
}

/// Returns whether the server makes this mistake.
pub(crate) fn wrong(mutation: Mutation) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen.contains(&mutation))
}
