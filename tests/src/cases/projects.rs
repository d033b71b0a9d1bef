//! The projects: work at the wire that no server of the book shows. Each is a family of its own,
//! which is judged only if it is asked for by name, and whose text for students and teachers is in
//! `tests/course/projects`. The mutants' server passes all of them, which proves that they can be
//! passed.

mod cache;
mod files;
mod pool;

use super::Family;

/// The projects, in the form of the families.
pub(super) const FAMILIES: &[Family] = &[
    ("project_pool", &[pool::CASES], "For teachers, \"A pool that grows and shrinks\""),
    ("project_cache", &[cache::CASES], "For teachers, \"Cache-Control with max-age\""),
    (
        "project_files",
        &[files::CASES],
        "For teachers, \"Files that do not block the loop\"",
    ),
];
