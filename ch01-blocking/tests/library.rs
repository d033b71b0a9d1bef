//! Tests of the chapter's library: each module is a file beside this one. The modules
//! share one program because each program takes time to link. A test that changes the
//! limits, signals or mappings of its process, or may crash this process, has its own
//! program.

mod cuts;
mod dates;
mod late;
mod leased;
mod panics;
mod refused;
