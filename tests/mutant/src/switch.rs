//! Which mistakes this process makes: chosen once at the start, asked everywhere.

use std::sync::OnceLock;

use crate::mutations::Mutation;

static CHOSEN: OnceLock<Vec<Mutation>> = OnceLock::new();

/// Settles the mistakes; called before the first client.
pub(crate) fn choose(mutations: Vec<Mutation>) {
    // A second call would be a mistake of ours; the first choice stands.
    let _ = CHOSEN.set(mutations);
}

/// Is this mistake to be made?
pub(crate) fn wrong(mutation: Mutation) -> bool {
    CHOSEN.get().is_some_and(|chosen| chosen.contains(&mutation))
}
