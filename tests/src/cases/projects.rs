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
    ("project_pool", &[pool::CASES], "tests/course/projects/pool.md"),
    ("project_cache", &[cache::CASES], "tests/course/projects/cache.md"),
    ("project_files", &[files::CASES], "tests/course/projects/files.md"),
];
