//! The cases of the course's projects: extensions of a server that no server of the book has. Each
//! project is a family of cases, which is judged only if it is named; its text for students and
//! teachers is in `tests/course/projects`. The server in `tests/mutant` passes all of these cases,
//! which proves that the projects can be done.

mod cache;
mod files;
mod pool;

use super::Family;

/// The families of the projects' cases, one for each project.
pub(super) const FAMILIES: &[Family] = &[
    ("project_pool", &[pool::CASES], "For teachers, \"A pool that grows and shrinks\""),
    ("project_cache", &[cache::CASES], "For teachers, \"Cache-Control with max-age\""),
    (
        "project_files",
        &[files::CASES],
        "For teachers, \"Files that do not block the loop\"",
    ),
];
